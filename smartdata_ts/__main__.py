"""python -m smartdata_ts: the command line."""

from smartdata_ts.cli import main

if __name__ == "__main__":
    main()

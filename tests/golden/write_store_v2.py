"""Writes the golden store of format version 2: run once, never again.

It holds the readings of `store-v1.csv`, as that of version 1 does, and besides a snapshot and rules of
retention.
"""

from write_store_v1 import HERE, fill, readings

import smartdata_ts as sd


def main() -> None:
    """Write the store."""
    with sd.open(HERE / "store-v2") as store:
        fill(store, readings())
        store.snapshot("bills 2024", note="as invoiced")
        store.set_retention([{"series": "gauge/*", "keep": {"raw": "forever"}}])


if __name__ == "__main__":
    main()

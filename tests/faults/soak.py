"""How long the random tests go on: `SMARTDATA_TS_SOAK=50` makes them fifty times as long (`make soak`)."""

import os

SOAK = int(os.environ.get("SMARTDATA_TS_SOAK", "1"))

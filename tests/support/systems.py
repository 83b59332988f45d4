"""What tests need to know of the system: what Windows gets is chosen by SMARTDATA_TS_PORTABLE=1 too."""

import pytest

from smartdata_ts._storage import system

maps_files = pytest.mark.skipif(not system.MAPS_FILES, reason="no file is mapped on this system")
forgets_locks = pytest.mark.skipif(
    not system.FORGETS_LOCKS, reason="SQLite's locks are a handle's on this system, and not lost"
)

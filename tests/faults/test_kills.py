"""Writers are killed at random instants: what was acknowledged is there, and nothing half done."""

import subprocess
import sys
from pathlib import Path

import pytest
from lives import HOUR, Compact, Write, check, small_limits
from soak import SOAK

import smartdata_ts as sd

PROGRAM = Path(__file__).with_name("kill_writers.py")


@pytest.mark.slow
def test_what_was_acknowledged_survives_kills_at_any_instant(tmp_path: Path) -> None:
    kills = 220 * SOAK
    result = subprocess.run(
        [sys.executable, PROGRAM, tmp_path, str(kills), "1"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert f"kills {kills}," in result.stdout, result.stdout


def test_chunks_that_begin_at_one_time_are_compacted(tmp_path: Path) -> None:
    """A life that a kill test found: one block fills a slice, and the next begins at the same time."""
    with small_limits(), sd.open(tmp_path / "s") as store:
        model: dict[tuple[str, int], float] = {}
        for value in (1.0, 2.0):
            write = Write((tuple(("a", k * HOUR, value + k) for k in range(120)),))
            write.run(store)
            write.apply(model)
        Compact().run(store)
        check(store, model)

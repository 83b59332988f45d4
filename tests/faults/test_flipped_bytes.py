"""Bytes of a small store are changed in turn, and files cut: a right answer, or a SmartDataError."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from lives import HOUR, small_limits
from soak import SOAK

import smartdata_ts as sd

PROGRAM = Path(__file__).with_name("flip_bytes.py")
# Facts and tags are under no checksum; docs/reliability.md says so.
UNCHECKED = {"series", "tagged"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with facts, tags, chunks of the present and of history, and a head."""
    path = tmp_path / "city.sdts"
    long, short = np.arange(130), np.arange(40)
    with small_limits(), sd.open(path) as store:
        store.describe("wm-1", quantity="water", unit="L", kind="register", tags={"zone": "north"})
        store.describe("wm-2", quantity="water", unit="L", kind="gauge", tags={"zone": "south"})
        store.write({"series": "wm-1", "time": long * HOUR, "value": long / 10})
        store.write({"series": "wm-2", "time": long * HOUR, "value": long / 10}, note="two")
        store.write({"series": "wm-1", "time": short * HOUR, "value": short / 7}, note="corrected")
        store.compact()
        for k in range(3):
            store.write({"series": ["wm-1", "~"], "time": [(200 + k) * HOUR] * 2, "value": [1.5, 2.5]})
    return path


def damage(path: Path, name: str, step: int) -> Counter[str]:
    command = [sys.executable, str(PROGRAM), str(path), name, str(step), "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    ends = Counter(line.split(": ", 1)[1] for line in result.stdout.splitlines())
    assert ends["ok"] > 50
    return ends


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured in /proc")
def test_a_damaged_chunk_answers_rightly_or_says_so(path: Path) -> None:
    names = sorted(path.glob("chunks/*.arrow"))
    for chunk in names if SOAK > 1 else names[:2]:
        ends = damage(path, f"chunks/{chunk.name}", 1 if SOAK > 1 else 47)
        assert set(ends) == {"ok"}, ends


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured in /proc")
def test_a_damaged_catalog_answers_rightly_or_says_so(path: Path) -> None:
    ends = damage(path, "catalog.sqlite", 1 if SOAK > 1 else 331)
    del ends["ok"]
    for end in ends:
        wrong = set(end.removeprefix("wrong: ").split(", "))
        assert wrong & UNCHECKED, ends
        assert wrong <= {*UNCHECKED, "verify found nothing"}, ends

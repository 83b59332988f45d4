"""Erasure: no byte of a series is left in any file, also where the process dies on the way."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from support.dying_process import DYING

import smartdata_ts as sd
from smartdata_ts._write import writer
from smartdata_ts.errors import UnknownSeriesError

HOUR = 3_600_000_000
KEY = "wm-ERASE-Ødegård"
TAG = "Storgata-12-ERASE"
# Doubles of no pattern, which a chunk keeps as their eight bytes.
PLAIN = np.random.default_rng(7).integers(0x3FF0 << 48, 0x3FFF << 48, 600).view(np.float64)
DIE = (
    DYING
    + """
store = sd.open(sys.argv[1])
for place, name in (
    (disk, "overwrite"), (disk, "remove"), (disk, "sync_directory"), (disk, "write_durably"),
    (Catalog, "commit"), (Catalog, "write_anew"), (Catalog, "clear_erasures"),
):
    setattr(place, name, dying(getattr(place, name)))
store.erase(sys.argv[3])
"""
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Chunks, history and a head that hold the series, among others; and an old handle's log."""
    monkeypatch.setattr(writer, "HEAD_READINGS_MAX", 50)
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        hours = np.arange(300) * HOUR
        for key, values in ((KEY, PLAIN[:300]), ("other", np.arange(300.0)), ("plain", PLAIN[300:] * 2)):
            store.write({"series": key, "time": hours, "value": values})
        store.write({"series": KEY, "time": hours[:60], "value": PLAIN[300:360]})
        store.compact()
        store.write({"series": KEY, "time": hours[:9], "value": PLAIN[400:409]})
        store.write({"series": "other", "time": hours[:9], "value": np.zeros(9)})
        store.snapshot("held")
        store.delete(KEY, end="1970-01-01T03:00")
        for key in (KEY, "other"):
            store.describe(key, quantity="water", tags={"street": TAG if key == KEY else "Vollgata"})
        assert store.info().history_chunks > 0
    return path


def traces(path: Path) -> dict[str, list[str]]:
    """The files that hold the key, the tag or the eight bytes of some value, and which."""
    needles = {"key": KEY.encode(), "tag": TAG.encode()}
    values = PLAIN[:300].tolist() + PLAIN[300:360].tolist() + PLAIN[400:409].tolist()
    needles |= {f"value {k}": np.float64(value).tobytes() for k, value in enumerate(values)}
    found = {}
    for file in sorted(path.rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            hits = [name for name, needle in needles.items() if needle in data]
            if hits:
                found[str(file.relative_to(path))] = hits
    return found


def others(path: Path) -> list[dict[str, object]]:
    with sd.open(path, mode="r") as store:
        table = store.query(["other", "plain"]).to_arrow()
        old = store.query(["other", "plain"], as_of="held").to_arrow()
        return table.to_pylist() + old.to_pylist() + store.query("other").last().to_arrow().to_pylist()


def test_no_file_holds_the_key_a_tag_or_a_value(path: Path) -> None:
    before, kept = traces(path), others(path)
    assert "key" in before["catalog.sqlite"]
    assert any(name.startswith("chunks/") and "value 299" in hits for name, hits in before.items())
    with sd.open(path) as store, sd.open(path, mode="r") as reader:
        assert reader.query(KEY).to_arrow().num_rows == 297
        report = store.erase(KEY)
        assert (report.series, report.readings) == (1, 297)
        assert report.files_overwritten >= 2
        assert report.bytes_overwritten > 300 * 8
        with pytest.raises(UnknownSeriesError):
            store.query(KEY).to_arrow()
        for commit in range(1, report.commit + 1):
            assert KEY not in store.query(as_of=commit).to_arrow()["series"].to_pylist()
        assert KEY not in store.changes(since=0).read_all()["series"].to_pylist()
        assert traces(path) == {}
        fields = json.dumps(asdict(report), sort_keys=True).encode()
        assert hashlib.sha256(fields).hexdigest() == report.signature
        assert report.signature in store.commits()["note"].to_pylist()[-1]
        assert KEY not in str(report)
        assert store.info().readings == len(store.query().to_arrow())
    assert traces(path) == {}
    assert others(path) == kept


def test_files_of_killed_writers_are_overwritten_too(path: Path) -> None:
    orphan = path / "chunks" / "2020-0123456789abcdef.arrow.partial"
    orphan.write_bytes(b"x" * 100 + KEY.encode())
    with sd.open(path) as store:
        store.erase(KEY)
    assert not orphan.exists()
    assert traces(path) == {}


def test_a_key_erased_can_be_used_again(path: Path) -> None:
    with sd.open(path) as store:
        store.erase([KEY, "other"])
        assert store.write({"series": KEY, "time": [5 * HOUR], "value": [1.0]}).stored == 1
        assert store.query(KEY).to_arrow()["value"].to_pylist() == [1.0]
        assert store.query(KEY, as_of=store.info().commit - 1).to_arrow().num_rows == 0
        assert store.series()["tags"].to_pylist() == [[], []]


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_all_or_is_finished_by_the_next_opening(path: Path, tmp_path: Path) -> None:
    kept = others(path)
    for step in range(1, 40):
        copy = tmp_path / f"copy-{step}"
        subprocess.run(["cp", "-r", path, copy], check=True)
        command = [sys.executable, "-c", DIE, str(copy), str(step), KEY]
        status = subprocess.run(command, env=os.environ, check=False).returncode
        with sd.open(copy) as store:
            erased = KEY not in store.series()["series"].to_pylist()
            assert store.query(KEY if not erased else "other").to_arrow().num_rows == (300 if erased else 297)
        assert others(copy) == kept
        if erased:
            assert traces(copy) == {}
        if status == 0:
            assert erased
            assert step > 8
            return
        assert status == 9
    pytest.fail("the erasure never came to its end")

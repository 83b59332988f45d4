"""Damage is raised, or left out and told of; all else of the store is read as ever, whatever is asked."""

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts._write import writer as writer_module
from smartdata_ts.errors import CorruptChunkError, DamageWarning, UsageError

HOUR = 3_600_000_000
COUNT = 20_000  # of readings a series: three blocks
KEYS = ("a", "b", "c")

QUESTIONS: dict[str, Callable[[sd.Query], sd.Query]] = {
    "raw": lambda query: query,
    "resample": lambda query: query.resample("1d", ["count", "sum", "last", "completeness"]),
    "every bucket": lambda query: query.resample("1mo", ["count", "mean"], empty=True),
    "last": lambda query: query.last(),
    "consumption": lambda query: query.consumption(),
    "daily consumption": lambda query: query.consumption().resample("1d", "sum"),
    "fill": lambda query: query.fill("linear", every="1h"),
    "rolling": lambda query: query.rolling("3h", "mean"),
    "difference": lambda query: query.difference(),
    "across": lambda query: query.resample("1d", "sum").aggregate("sum"),
}


def values_of(key: str) -> np.ndarray:
    return np.random.default_rng(KEYS.index(key)).poisson(5, COUNT).cumsum() / 8


def write(path: Path, leave_out: dict[str, tuple[int, int]] | None = None, late: bool = True) -> None:
    """Three registers; of one a stretch is corrected later, so that its blocks overlap."""
    with sd.open(path) as store:
        store.describe(list(KEYS), quantity="water", unit="m3", kind="register", interval="1h")
        for key in KEYS:
            kept = np.ones(COUNT, np.bool_)
            if leave_out and key in leave_out:
                kept[slice(*leave_out[key])] = False
            times = (np.arange(COUNT) * HOUR)[kept]
            store.write({"series": key, "time": times, "value": values_of(key)[kept]})
        if late:
            times = np.arange(100, 200) * HOUR
            store.write({"series": "c", "time": times, "value": values_of("c")[100:200] + 0.5})


@pytest.fixture(autouse=True)
def all_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "HEAD_READINGS_MAX", 0)


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Path, dict[str, tuple[int, int]]]:
    """A store with a damaged block in the middle of series b, and which of its readings that held."""
    path = tmp_path / "city.sdts"
    write(path)
    chosen = min(
        (file for file in (path / "chunks").iterdir() if keys_in(file)[0] == "b"),
        key=lambda file: pa.ipc.open_file(file).read_all()["time_min"][0].value,
    )
    table = pa.ipc.open_file(chosen.read_bytes()).read_all()
    payload = table["values"][0].as_py()
    content = bytearray(chosen.read_bytes())
    content[content.index(payload) + len(payload) // 2] ^= 0x10
    chosen.write_bytes(content)
    first, last = (table[name][0].value // HOUR for name in ("time_min", "time_max"))
    return path, {"b": (first, last + 1)}


def keys_in(file: Path) -> list[str]:
    keys: list[str] = pa.ipc.open_file(file.read_bytes()).read_all()["key"].to_pylist()
    return keys


@pytest.mark.parametrize("question", QUESTIONS)
def test_all_but_the_damaged_block_is_there_whatever_is_asked(
    question: str, damaged: tuple[Path, dict[str, tuple[int, int]]], tmp_path: Path
) -> None:
    path, gone = damaged
    write(tmp_path / "sound.sdts", leave_out=gone)
    ask = QUESTIONS[question]
    with sd.open(tmp_path / "sound.sdts", "r") as sound, sd.open(path, "r") as store:
        with pytest.warns(DamageWarning, match="1 blocks with"):
            found = ask(store.query(on_corrupt="skip")).to_arrow()
        assert found.equals(ask(sound.query()).to_arrow())
        (loss,) = json.loads(found.schema.metadata[b"smartdata_ts.losses"])
        assert loss["series"] == "b"
        assert (loss["first_time"], loss["last_time"] + HOUR) == tuple(hour * HOUR for hour in gone["b"])
        if question != "last":  # which has no need of that block
            with pytest.raises(CorruptChunkError, match=r"series 'b'.*checksum"):
                ask(store.query()).to_arrow()


def test_what_is_sound_is_asked_of_without_a_word(damaged: tuple[Path, Any]) -> None:
    path, _ = damaged
    with sd.open(path, "r") as store:
        for key in ("a", "c"):
            skipping = store.query(key, on_corrupt="skip")
            assert skipping.to_arrow().equals(store.query(key).to_arrow())
            assert json.loads(skipping.to_arrow().schema.metadata[b"smartdata_ts.losses"]) == []
            assert skipping.losses().num_rows == 0
        assert store.query().to_batches().schema.metadata is None


def test_losses_name_file_series_span_and_count(damaged: tuple[Path, dict[str, tuple[int, int]]]) -> None:
    path, gone = damaged
    first, end = gone["b"]
    with sd.open(path, "r") as store:
        for query in (
            store.query(),
            store.query("b", on_corrupt="skip"),
            pickle.loads(pickle.dumps(store.query())),
        ):
            table = query.losses()
            assert table.column_names == ["file", "series", "first_time", "last_time", "readings", "problem"]
            (loss,) = table.to_pylist()
            assert loss["series"] == "b"
            assert loss["readings"] == end - first
            assert table["first_time"].cast("int64").to_pylist() == [first * HOUR]
            assert table["last_time"].cast("int64").to_pylist() == [(end - 1) * HOUR]
            assert loss["file"] in loss["problem"]
        outside = store.query("b", start=np.datetime64(end * HOUR, "us"))
        assert outside.losses().num_rows == 0


def ruined(file: Path, how: str) -> None:
    content = file.read_bytes()
    file.unlink()
    if how == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif how == "other":
        file.write_bytes(b"no chunk at all" * 10)
    elif how == "version":
        table = pa.ipc.open_file(content).read_all()
        table = table.replace_schema_metadata({**table.schema.metadata, b"smartdata_ts.version": b"7"})
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    elif how == "link":
        file.with_suffix(".moved").write_bytes(content)
        file.symlink_to(file.with_suffix(".moved"))


@pytest.mark.parametrize("how", ["gone", "cut", "other", "version", "link"])
@pytest.mark.parametrize("question", ["raw", "resample", "last", "consumption"])
def test_a_chunk_that_does_not_open_is_left_out_whole(how: str, question: str, tmp_path: Path) -> None:
    write(tmp_path / "city.sdts", late=False)
    write(tmp_path / "sound.sdts", late=False)
    files = [file for file in sorted((tmp_path / "city.sdts" / "chunks").iterdir()) if "a" in keys_in(file)]
    lost = pa.ipc.open_file(files[0].read_bytes()).read_all()
    first = lost["time_min"][0].value
    ruined(files[0], how)
    ask = QUESTIONS[question]
    with sd.open(tmp_path / "sound.sdts") as sound:
        last = lost["time_max"].cast("int64").to_pylist()[-1]
        sound.delete("a", np.datetime64(first, "us"), np.datetime64(last + 1, "us"))
    with sd.open(tmp_path / "sound.sdts") as sound, sd.open(tmp_path / "city.sdts", "r") as store:
        with pytest.warns(DamageWarning, match=f"1 chunks that cannot be opened.*{files[0].name}"):
            found = ask(store.query(on_corrupt="skip")).to_arrow()
        assert found.equals(ask(sound.query()).to_arrow())
        (loss,) = store.query().losses().to_pylist()
        assert loss["series"] is None
        assert loss["readings"] == sum(lost["count"].to_pylist())


def test_a_file_cut_under_an_open_store_gives_what_is_left_of_it(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    rows = {"series": np.repeat(KEYS, COUNT), "time": np.tile(np.arange(COUNT) * HOUR, 3)}
    with sd.open(path) as store:
        store.write({**rows, "value": np.random.default_rng(5).random(3 * COUNT)})
        whole = store.query().to_arrow()
        file = max((path / "chunks").iterdir(), key=lambda file: file.stat().st_size)
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size * 2 // 3)
        with pytest.warns(DamageWarning, match="shrunk"):
            rest = store.query(on_corrupt="skip").to_arrow()
        lost = sum(store.query().losses()["readings"].to_pylist())
        assert 0 < lost < 3 * COUNT
        assert rest.num_rows == whole.num_rows - lost


def test_what_a_damaged_correction_replaced_stands_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    write(path, late=False)
    before = set((path / "chunks").iterdir())
    with sd.open(path) as store:
        right = store.query("c").to_arrow()
        store.write({"series": "c", "time": np.arange(100, 200) * HOUR, "value": np.zeros(100)})
        commit = store.info().commit
    (late,) = set((path / "chunks").iterdir()) - before
    late.write_bytes(b"")
    with sd.open(path, "r") as store:
        with pytest.warns(DamageWarning):
            assert store.query("c", on_corrupt="skip").to_arrow().equals(right)
        with pytest.warns(DamageWarning):
            assert store.query("c", as_of=commit, on_corrupt="skip").to_arrow().equals(right)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert store.query("c", as_of=commit - 1, on_corrupt="skip").to_arrow().equals(right)


def test_a_warning_that_is_made_an_error_is_one_of_ours(damaged: tuple[Path, Any]) -> None:
    with sd.open(damaged[0], "r") as store, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(sd.errors.SmartDataError, match="left out") as raised:
            store.query(on_corrupt="skip").to_batches()
    assert isinstance(raised.value, DamageWarning)
    assert len(raised.value.problems) == 1


def test_a_wide_table_tells_too(damaged: tuple[Path, Any]) -> None:
    with sd.open(damaged[0], "r") as store, pytest.warns(DamageWarning):
        table = store.query(on_corrupt="skip").to_arrow(wide=True)
    assert len(json.loads(table.schema.metadata[b"smartdata_ts.losses"])) == 1


@pytest.mark.parametrize("given", ["ignore", None, True])
def test_what_else_to_do_is_refused(given: Any, tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store, pytest.raises(UsageError, match="'raise' or 'skip'"):
        store.query(on_corrupt=given)


@pytest.mark.parametrize(
    "command", [["read"], ["last"], ["resample", "--every", "1d", "-a", "sum"], ["export", "-"]]
)
def test_the_command_line_says_on_standard_error_what_it_left_out(
    command: list[str], damaged: tuple[Path, Any]
) -> None:
    name, *rest = command
    arguments = [name, str(damaged[0]), *rest]
    result = run(*arguments, "--on-corrupt", "skip")
    assert result.status == 0, result
    assert "left out: " in result.err
    assert "series 'b'" in result.err
    assert "left out" not in result.out
    if name != "last":
        assert run(*arguments).status == 1

"""Retention against plain Python: what is left of each kind's readings, in the present and in history."""

import math
import os
import random
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from support import whole_package  # noqa: F401
from support.command_line import run
from support.dying_process import DYING

import smartdata_ts as sd
from smartdata_ts._upkeep import removal, retention, thinning
from smartdata_ts._write import chunks as chunks_module
from smartdata_ts._write import writer
from smartdata_ts.errors import CorruptCatalogError, UsageError

OSLO = ZoneInfo("Europe/Oslo")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2025, 5, 10, 14, 20, tzinfo=UTC)
KEEP = {"raw": "30d", "1h": "120d", "1d": "2y", "1mo": "forever"}
RANKS = {0: 5, 1: 3, 3: 6, 5: 1, 6: 0, 7: 0}
KINDS = ("register", "interval", "gauge")
DAY = 86_400_000_000

Row = tuple[str, int, float, int]


def us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def floor(time: int, width: str) -> int:
    """The start of an instant's bucket in Oslo."""
    local = (EPOCH + timedelta(microseconds=time)).astimezone(OSLO)
    if width == "1h":  # whole offsets, so that hours begin together everywhere
        return time - time % 3_600_000_000
    start = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return us(start.replace(day=1) if width == "1mo" else start)


def years_ago(count: int) -> int:
    return us(NOW.replace(year=NOW.year - count))


def bucket_of(time: int) -> tuple[str, int] | None:
    """The level and bucket that a reading is thinned out to."""
    cuts = [("1h", us(NOW) - 30 * DAY), ("1d", us(NOW) - 120 * DAY), ("1mo", years_ago(2))]
    found = None
    for width, cut in cuts:
        if time < floor(cut, width):
            found = width, floor(time, width)
    return found


def part_of(time: int) -> object:
    """What readings are thinned out together: a level's years, cut at the bucket that begins a UTC year."""
    bucket = bucket_of(time)
    assert bucket is not None
    width, start = bucket
    years = [floor(us(datetime(year, 1, 1, tzinfo=UTC)), width) for year in range(2015, 2030)]
    return width, sum(start >= year for year in years)


def thinned(rows: list[Row], kind: str) -> list[Row]:
    """What is left of one series' readings, by definition."""
    left = [row for row in rows if bucket_of(row[1]) is None]
    old = [row for row in rows if bucket_of(row[1]) is not None]
    usable = [row for row in old if math.isfinite(row[2]) and RANKS[row[3]] > 0]
    if kind == "register":
        for k, row in enumerate(usable):
            before, after = usable[k - 1] if k else None, usable[k + 1] if k + 1 < len(usable) else None
            if (
                before is None
                or after is None
                or bucket_of(after[1]) != bucket_of(row[1])
                or part_of(before[1]) != part_of(row[1])
                or row[2] < before[2]
                or after[2] < row[2]
            ):
                left.append(row)
        return sorted(left)
    buckets = defaultdict(list)
    for row in old:
        buckets[bucket_of(row[1])].append(row)
    for bucket, inside in buckets.items():
        good = [row for row in inside if row in usable]
        assert bucket is not None
        if len(inside) == 1 and inside[0][1] == bucket[1]:
            left.append(inside[0])
        elif good:
            total = sum(Fraction(repr(row[2])) for row in good)
            value = float(total if kind == "interval" else total / len(good))
            quality = min((RANKS[row[3]], row[3]) for row in good)[1]
            left.append((inside[0][0], bucket[1], value, quality))
    return sorted(left)


def readings(key: str, seed: int, count: int = 2500) -> list[Row]:
    """Three years of readings, thicker towards the end, with resets, rejected ones and no numbers."""
    chance = random.Random(seed)
    ages = sorted({int(chance.random() ** 3 * 1100 * 96) for _ in range(count)}, reverse=True)
    level, rows = 0, []
    for age in ages:
        level = 0 if chance.random() < 0.01 else level + chance.randrange(40)
        quality = chance.choice([0] * 30 + [1, 3, 5, 6, 7])
        value = chance.choice([level / 10] * 60 + [math.inf])
        rows.append((key, us(NOW) - age * 900_000_000 - 700_000_000, value, quality))
    return rows


def table(rows: list[Row]) -> pa.Table:
    kinds = [pa.string(), pa.timestamp("us", "UTC"), pa.float64(), pa.uint8()]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(arrays, names=["series", "time", "value", "quality"])


def rows_of(result: pa.Table) -> list[Row]:
    times = result["time"].cast(pa.int64()).to_pylist()
    columns = (
        result["series"].to_pylist(),
        times,
        result["value"].to_pylist(),
        result["quality"].to_pylist(),
    )
    return list(zip(*columns, strict=True))


def close(found: list[Row], wanted: list[Row]) -> bool:
    """Equal but for what the last bits of a mean of many may be."""
    assert [(key, time, quality) for key, time, _, quality in found] == [
        (key, time, quality) for key, time, _, quality in wanted
    ]
    return [row[2] for row in found] == pytest.approx([row[2] for row in wanted], rel=1e-15)


@pytest.fixture(params=["small pieces", "as it is"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sd.Store:
    """A register, amounts, a gauge, and a series of no kind; in chunks and head, with some corrections."""
    monkeypatch.setattr(writer, "HEAD_READINGS_MAX", 500)
    if request.param == "small pieces":
        monkeypatch.setattr(chunks_module, "CHUNK_READINGS_MAX", 700)
        for place in (removal, retention):
            monkeypatch.setattr(place, "CHUNK_READINGS_MAX", 700)
        monkeypatch.setattr(thinning, "_GROUPS_MAX", 16)
    store = sd.open(tmp_path / "city.sdts")
    for seed, kind in enumerate(KINDS):
        store.describe(kind, kind=kind, quantity="water", tags={"zone": "north"})
        rows = readings(kind, seed)
        store.write(
            table([(key, time, value + 7, 4) for key, time, value, _ in rows[::9]]), quality="quality"
        )
        store.write(table(rows), quality="quality", on_conflict="replace")
    store.write(table(readings("unknown", 9, 300)), quality="quality")
    store.set_retention(
        [{"quantity": "water", "keep": KEEP}, {"series": "unk*", "keep": KEEP}], "Europe/Oslo"
    )
    return store


def all_rows() -> list[Row]:
    return [row for seed, kind in enumerate(KINDS) for row in readings(kind, seed)]


def expected() -> list[Row]:
    left = [row for seed, kind in enumerate(KINDS) for row in thinned(readings(kind, seed), kind)]
    return sorted([*left, *readings("unknown", 9, 300)])


def test_what_is_left_is_what_the_definition_says_and_doing_it_again_changes_nothing(store: sd.Store) -> None:
    before = store.info().readings
    planned = store.apply_retention(NOW, dry_run=True)
    assert store.info().readings == before
    report = store.apply_retention(NOW)
    assert (planned.readings_removed, planned.readings_made) == (
        report.readings_removed,
        report.readings_made,
    )
    assert report.series == 3
    assert report.series_left == planned.series_left == ("unknown",)
    found = rows_of(store.query().to_arrow())
    assert close(found, expected())
    assert store.info().readings == len(found) == before - report.readings_removed + report.readings_made
    again = store.apply_retention(NOW)
    assert (again.readings_removed, again.readings_made, again.commits) == (0, 0, ())
    store.compact()
    assert rows_of(store.query().to_arrow()) == found
    assert store.verify(deep=True).is_sound


def test_volumes_of_registers_stay_what_they_were_between_any_readings_left(store: sd.Store) -> None:
    """Also over resets, of which nobody knows how much went before them."""
    rows = [row for row in readings("meter", 4) if math.isfinite(row[2]) and RANKS[row[3]] > 0]
    store.describe("meter", kind="register", quantity="water", unit="L")
    store.write(table(rows), quality="quality")

    def volumes() -> dict[int, float]:
        """What was counted up to each end of an interval."""
        amounts = store.query("meter").consumption().to_arrow()
        ends = amounts["end"].cast(pa.int64()).to_pylist()
        return dict(zip(ends, np.nancumsum(amounts["value"].to_numpy()).tolist(), strict=True))

    before = volumes()
    store.apply_retention(NOW)
    after = volumes()
    assert len(after) < len(before) - 500
    assert after == pytest.approx({end: before[end] for end in after}, rel=1e-12)


def test_applied_day_by_day_it_comes_to_the_same_amounts(store: sd.Store) -> None:
    for days in range(40, -1, -8):
        store.apply_retention(NOW - timedelta(days=days))
    found = [row for row in rows_of(store.query("interval").to_arrow()) if bucket_of(row[1])]
    wanted = [row for row in expected() if row[0] == "interval" and bucket_of(row[1])]
    assert [row[:2] for row in found] == [row[:2] for row in wanted]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in wanted], rel=1e-12)


def test_without_a_snapshot_what_was_removed_is_gone_from_history(store: sd.Store) -> None:
    commit = store.info().commit
    report = store.apply_retention(NOW)
    known = {row[:2] for row in expected()}
    assert {row[:2] for row in rows_of(store.query(as_of=commit).to_arrow())} <= known
    changes = store.changes(since=commit).read_all()
    assert changes.num_rows == report.readings_made
    assert changes["old_value"].null_count == report.readings_made


def test_a_snapshot_holds_what_was_removed_until_it_is_released(store: sd.Store) -> None:
    before = rows_of(store.query().to_arrow())
    commit = store.snapshot("bills")
    report = store.apply_retention(NOW)
    after = rows_of(store.query().to_arrow())
    assert close(after, expected())
    assert rows_of(store.query(as_of="bills").to_arrow()) == before
    assert rows_of(store.query(as_of=report.commits[-1]).to_arrow()) == after
    changed = store.changes(since=commit).read_all()
    places = [row[:2] for row in before if row not in after] + [row[:2] for row in after if row not in before]
    times = changed["time"].cast(pa.int64()).to_pylist()
    assert set(zip(changed["series"].to_pylist(), times, strict=True)) == set(places)
    assert store.apply_retention(NOW).commits == ()
    store.release("bills")
    assert store.apply_retention(NOW).chunks_rewritten > 0
    assert rows_of(store.query().to_arrow()) == after
    known = {row[:2] for row in after}
    assert {row[:2] for row in rows_of(store.query(as_of=commit).to_arrow())} <= known
    assert store.info().history_chunks == 0 or store.verify(deep=True).is_sound


def test_what_is_older_than_the_last_age_is_removed_whatever_its_kind(store: sd.Store) -> None:
    store.set_retention([{"series": "unknown", "keep": {"raw": "90d"}}])
    rows = readings("unknown", 9, 300)
    report = store.apply_retention(NOW)
    left = [row for row in rows if row[1] >= us(NOW) - 90 * DAY]
    assert rows_of(store.query("unknown").to_arrow()) == left
    assert report.readings_removed == len(rows) - len(left)
    assert rows_of(store.query(list(KINDS)).to_arrow()) == sorted(all_rows())


def test_the_first_rule_that_fits_counts_and_no_rule_keeps_all(store: sd.Store) -> None:
    store.set_retention(
        [
            {"series": "gau*", "tags": {"zone": ["north", "south"]}, "keep": {"raw": "forever"}},
            {"tags": {"zone": "north"}, "keep": {"raw": "100d", "1d": "200d"}},
        ]
    )
    store.apply_retention(NOW)
    found = rows_of(store.query().to_arrow())
    assert [row for row in found if row[0] == "gauge"] == readings("gauge", 2)
    assert [row for row in found if row[0] == "unknown"] == readings("unknown", 9, 300)
    assert min(row[1] for row in found if row[0] == "interval") >= us(NOW) - 201 * DAY
    store.set_retention([])
    assert store.apply_retention(NOW).commits == ()
    assert store.retention() == []


def test_rules_come_back_as_they_were_given(store: sd.Store) -> None:
    rules = [
        {"keep": KEEP, "series": "wm-*", "quantity": "water", "tags": {"zone": ["north"]}, "tz": "Asia/Tokyo"}
    ]
    store.set_retention(rules)
    assert store.retention() == rules
    store.set_retention(store.retention())
    assert store.retention() == rules


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("raw", "list of rules"),
        ([{"series": "a"}], "rule 1: a rule has keep"),
        ([{"keep": {"raw": "1y"}}, {"keep": {"raw": "1y"}, "ages": 1}], "rule 2"),
        ([{"keep": {"1h": "1y"}}], "beginning with 'raw'"),
        ([{"keep": {"raw": "1y", "1d": "2y", "1h": "3y"}}], "wider than the one before"),
        ([{"keep": {"raw": "2y", "1d": "1y"}}], "higher than the one before"),
        ([{"keep": {"raw": "forever", "1d": "forever"}}], "higher than the one before"),
        ([{"keep": {"raw": "soon"}}], "no bucket width"),
        ([{"keep": {"raw": "1y"}, "series": 7}], "series must be a text"),
        ([{"keep": {"raw": "1y"}, "tags": "zone"}], "tags are a mapping"),
    ],
)
def test_what_is_no_rule_is_told(tmp_path: Path, rules: object, message: str) -> None:
    with sd.open(tmp_path / "city.sdts") as store, pytest.raises(UsageError, match=message):
        store.set_retention(rules)  # type: ignore[arg-type]


def test_rules_that_are_damaged_remove_nothing(store: sd.Store) -> None:
    catalog = store.writing_catalog()
    catalog._execute("UPDATE store SET value = replace(value, '120d', '12d') WHERE name = 'retention'")
    before = store.info().readings
    with pytest.raises(CorruptCatalogError, match="rules of retention"):
        store.apply_retention(NOW)
    assert store.info().readings == before
    assert any("rules of retention" in problem for problem in store.verify().problems)


KILL = (
    DYING
    + """
for place, name in ((disk, "remove_if_possible"), (Catalog, "commit"), (Catalog, "add_chunk")):
    setattr(place, name, dying(getattr(place, name)))
sd.open(sys.argv[1]).apply_retention(sys.argv[3])
"""
)


@pytest.mark.slow
def test_whoever_is_killed_has_lost_nothing_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "HEAD_READINGS_MAX", 100)
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        for seed, kind in enumerate(KINDS):
            store.describe(kind, kind=kind)
            store.write(table(readings(kind, seed, 600)), quality="quality")
        store.set_retention([{"keep": KEEP}], tz="Europe/Oslo")
    wanted = sorted(
        row for seed, kind in enumerate(KINDS) for row in thinned(readings(kind, seed, 600), kind)
    )
    kills = 0
    while True:
        command = [sys.executable, "-c", KILL, str(path), str(kills + 1), NOW.isoformat()]
        status = subprocess.run(command, env=dict(os.environ), check=False).returncode
        with sd.open(path) as store:
            assert store.verify(deep=True).is_sound
        if status == 0:
            break
        assert status == 9
        kills += 1
        assert kills < 30
    assert kills > 2
    with sd.open(path) as store:
        assert close(rows_of(store.query().to_arrow()), wanted)


def test_other_series_answer_to_the_bit_as_before(store: sd.Store) -> None:
    store.set_retention([{"series": "interval", "keep": {"raw": "30d", "1d": "forever"}}])
    others = ["gauge", "register", "unknown"]
    before = [np.asarray(column).tolist() for column in store.query(others).to_arrow().columns]
    past = store.query(others, as_of=2).to_arrow()
    store.apply_retention(NOW)
    assert [np.asarray(column).tolist() for column in store.query(others).to_arrow().columns] == before
    assert store.query(others, as_of=2).to_arrow().equals(past)


def test_the_command_line_says_shows_tries_and_applies(store: sd.Store, tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    rule = "series=unk* raw=90d"
    water = "quantity=water tz=Europe/Oslo tag:zone=north raw=30d 1d=forever"
    assert run("retention", path, "--rule", rule, "--rule", water).out == ""
    assert run("retention", path).out == f"series=unk* tz=UTC raw=90d\n{water}\n"
    planned = run("retention", path, "--dry-run", "--now", NOW.isoformat()).out
    done = run("retention", path, "--apply", "--now", NOW.isoformat()).out
    assert "would be removed" in planned
    assert done == planned.replace("would be removed", "removed")
    assert "0 readings of 0 series" in run("retention", path, "--apply", "--now", NOW.isoformat()).out
    store.describe("wm", quantity="water", tags={"zone": "north"})
    left = run("retention", path, "--dry-run")
    assert left.err.startswith("1 series left as they are")
    assert run("retention", path, "--clear").status == 0
    assert run("retention", path).out == ""
    assert run("retention", path, "--clear", "--apply").status == 2
    assert run("retention", path, "--rule", "raw").status == 2

"""The demo's two questions, answered with the Python API."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from smartdata_ts import Store

from ._demo_data import TZ, YEAR


def months_by_zone(store: Store) -> pa.Table:
    """Use in m3: a row a month, a column a zone.

    A meter's use in a month is its first register of the next month less the first of this one: gaps
    lose nothing. In the last month it is the last register that counts.
    """
    months = store.query().resample("1mo", ["first", "last"], tz=TZ).to_arrow()
    meters = months["series"].combine_chunks()
    codes, first = meters.indices.to_numpy(), months["first"].to_numpy()
    is_last = np.append(codes[1:] != codes[:-1], True)
    used = np.where(is_last, months["last"].to_numpy(), np.roll(first, -1)) - first
    zone_of = _tag(store, "zone")
    zones = sorted(set(zone_of.values()))
    columns = np.array([zones.index(zone_of[key]) for key in meters.dictionary.to_pylist()])[codes]
    starts, rows = np.unique(months["time"].cast(pa.int64()).to_numpy(), return_inverse=True)
    sums = np.zeros((starts.size, len(zones)))
    np.add.at(sums, (rows, columns), used)
    walls = pa.array(starts).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", TZ)).to_pylist()
    table = {"month": [f"{wall:%B}" for wall in walls]}
    table.update(zip(zones, sums.round(1).T, strict=True))
    return pa.table({**table, "all": sums.sum(axis=1).round(1)})


def leaks(store: Store) -> pa.Table:
    """The ten meters that used most in their least hour of the year's last week."""
    end = datetime(YEAR + 1, 1, 1)
    week = store.query(start=end - timedelta(days=7), end=end, tz=TZ).to_arrow()
    meters = week["series"].combine_chunks()
    codes, registers = meters.indices.to_numpy(), week["value"].to_numpy()
    steps = np.diff(registers)[codes[1:] == codes[:-1]]
    owners = codes[1:][codes[1:] == codes[:-1]]
    least = np.full(len(meters.dictionary), np.inf)
    np.minimum.at(least, owners, steps)
    found = [k for k in np.argsort(-least).tolist() if 0 < least[k] < np.inf][:10]
    keys, zone_of = meters.dictionary.to_pylist(), _tag(store, "zone")
    return pa.table(
        {
            "meter": [keys[k] for k in found],
            "zone": [zone_of[keys[k]] for k in found],
            "least L/h": np.round(least[found] * 1000).astype(np.int64),
            "m3 a year": (least[found] * 24 * 365).round(),
        }
    )


def _tag(store: Store, name: str) -> dict[str, str]:
    """The tag of every series, by key."""
    table = store.series()
    pairs = zip(table["series"].to_pylist(), table["tags"].to_pylist(), strict=True)
    return {key: dict(tags)[name] for key, tags in pairs}

"""Local wall times to UTC, and the repeated hour of autumn resolved by the order of rows.

`windows` is the zone as one flat array of three equal parts: the wall times at which the meaning of
wall time changes (the first is the least int64), the offset of the first occurrence from there on,
and the offset of the second. Equal offsets: a plain window. First > second: the clock is put back
and the window is shown twice. First < second: it is never shown.

`state` has STATE_SIZE numbers a series: the instant of its last row near a repeated hour (NEVER if
none), its usual step in file order (negative where the file is sorted newest first), and the votes
for that step. The usual step is a running majority (Boyer and Moore, 1981): a step within an eighth
of the candidate votes for it, any other against it, and where no vote is left it takes its place.

Only rows within two days of a repeated hour touch the state; all others cost a comparison and a
subtraction.
"""

from ..arrays import Int32Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..status import MALFORMED

OK = 0
MISSING = 1
AMBIGUOUS = 2
PENDING = 3


STATE_SIZE = 3
NEVER = -(2**63)

_NEAR_US = 2 * 86_400_000_000
_VOTES_MAX = 15

# The costs of a step that is not the usual one: a repeated stamp, a shorter step, a hole, a step back.
_COST_REPEATED = 1
_COST_SHORT = 2
_COST_HOLE = 3
_COST_BACK = 16


@kernel
def convert_wall_times(
    local_us: Int64Array,
    windows: Int64Array,
    utc_us: Int64Array,
    status: UInt8Array,
    near_rows: Int64Array,
) -> int:
    """Fill `utc_us` and `status`; return how many rows stand near a repeated hour.

    Those rows are listed in `near_rows`; in a repeated hour they are taken as the first occurrence.
    A row in a gap gets MISSING, and the instant as if the clock had not been put forward.
    """
    row_count = local_us.size
    if windows.size < 3 or windows.size % 3 != 0 or windows[0] != NEVER:
        return MALFORMED
    if utc_us.size < row_count or status.size < row_count or near_rows.size < row_count:
        return MALFORMED
    near_count = 0
    calm_from, calm_to, offset = 0, 0, 0
    for row in range(row_count):
        local = local_us[row]
        if calm_from <= local < calm_to:
            utc_us[row] = local - offset
            status[row] = OK
            continue
        window, first, second = _find_window(windows, local)
        utc_us[row] = local - first
        status[row] = MISSING if first < second else OK
        if first == second:
            calm_from, calm_to, offset = _calm_part(windows, window)
        if first > second or (first == second and not calm_from <= local < calm_to):
            near_rows[near_count] = row
            near_count += 1
    return near_count


@kernel
def settle_repeated_hours(
    rows: Int64Array,
    series: Int32Array,
    local_us: Int64Array,
    windows: Int64Array,
    state: Int64Array,
    utc_us: Int64Array,
    status: UInt8Array,
    final: bool,
) -> int:
    """Tell first from second occurrences among `rows`, sorted by series and, inside, as in the file.

    Sets `utc_us` and `status` of rows in a repeated hour. Where no later row shows that a series has
    left the hour, its rows there become PENDING, unless `final`, and leave the state as it was.
    Returns how many are PENDING, or MALFORMED.
    """
    if windows.size < 3 or windows.size % 3 != 0 or windows[0] != NEVER:
        return MALFORMED
    for k in range(rows.size):
        if not 0 <= rows[k] < min(min(series.size, local_us.size), min(utc_us.size, status.size)):
            return MALFORMED
        if not 0 <= series[rows[k]] < state.size // STATE_SIZE:
            return MALFORMED
    pending_count = 0
    start = 0
    while start < rows.size:
        row = rows[start]
        window, first, second = _find_window(windows, local_us[row])
        stop = start + 1
        if first <= second:
            _observe(state, series[row], utc_us[row])
            start = stop
            continue
        while (
            stop < rows.size
            and series[rows[stop]] == series[row]
            and _find_window(windows, local_us[rows[stop]])[0] == window
        ):
            stop += 1
        has_left = stop < rows.size and series[rows[stop]] == series[row]
        if has_left or final:
            after_us = utc_us[rows[stop]] if has_left else NEVER
            own = state[series[row] * STATE_SIZE : (series[row] + 1) * STATE_SIZE]
            _settle(rows[start:stop], local_us, own, after_us, first, second, utc_us, status)
        else:
            for k in range(start, stop):
                status[rows[k]] = PENDING
            pending_count += stop - start
        start = stop
    return pending_count


@inner
def _settle(
    rows: Int64Array,
    local_us: Int64Array,
    own: Int64Array,
    after_us: int,
    first: int,
    second: int,
    utc_us: Int64Array,
    status: UInt8Array,
) -> None:
    """Choose the place where the clock was put back among the rows of one series in one hour.

    With n rows there are n + 1 places: before row 0, ..., after row n - 1. At the chosen one the
    step is longer by the time repeated. `low` and `high` are the first and last of the best places.
    """
    before_us = own[0]
    step, votes = _vote_on_steps(rows, local_us, own, after_us, first, second)
    sign = -1 if step < 0 else 1
    usual = abs(step) if votes >= 2 else 0
    repeated = first - second
    back_count = 0
    best = 1  # a place must not make things worse
    low, high = 0, rows.size
    for place in range(rows.size + 1):
        if place == 0:
            edge = local_us[rows[0]] - (first if sign > 0 else second)
            gap = _outer_gap(before_us, edge, sign)
        elif place == rows.size:
            edge = local_us[rows[place - 1]] - (second if sign > 0 else first)
            gap = _outer_gap(edge, after_us, sign)
        else:
            gap = sign * (local_us[rows[place]] - local_us[rows[place - 1]])
            back_count += 1 if gap < 0 else 0
        # Where a series begins or ends in the hour there is no step to judge.
        change = 0
        if gap != NEVER:
            change = _cost(gap + repeated, usual, repeated) - _cost(gap, usual, repeated)
        if change < best:
            best = change
            low = place
        if change == best and best <= 0:
            high = place
    if best > 0 or back_count > 1:
        low, high = 0, rows.size
    for k in range(rows.size):
        is_second = (k >= high) == (sign > 0)
        is_told = k < low or k >= high
        row = rows[k]
        status[row] = OK if is_told else AMBIGUOUS
        utc_us[row] = local_us[row] - (second if is_told and is_second else first)
    for k in range(rows.size):
        _observe_own(own, utc_us[rows[k]])


@inner
def _cost(gap: int, usual: int, repeated: int) -> int:
    """Return how odd a step is for a series with this usual step (0: not known)."""
    if gap < 0:
        return _COST_BACK
    if usual == 0 or abs(gap - usual) <= min(usual // 8, repeated // 4):
        return 0
    if gap == 0:
        return _COST_REPEATED
    if gap < usual:
        return _COST_SHORT
    return _COST_HOLE


@inner
def _outer_gap(from_us: int, to_us: int, sign: int) -> int:
    """Return the step into or out of the hour; NEVER if it is unknown, backwards or over two days."""
    if from_us == NEVER or to_us == NEVER:
        return NEVER
    gap = sign * (to_us - from_us)
    return gap if 0 <= gap <= _NEAR_US else NEVER


@inner
def _vote_on_steps(
    rows: Int64Array, local_us: Int64Array, own: Int64Array, after_us: int, first: int, second: int
) -> tuple[int, int]:
    """Return the usual step and its votes; the hour's own steps vote until one has two votes."""
    step, votes = own[1], own[2]
    # The steps into and out of the hour are taken as if the first row were in the pass next to the
    # row before, and the last row in the other, which is so wherever both passes are there.
    sign = -1 if step < 0 else 1
    last = rows.size - 1
    gap = _outer_gap(own[0], local_us[rows[0]] - (first if sign > 0 else second), sign)
    if votes < 2 and gap > 0:
        step, votes = _vote(step, votes, sign * gap)
    for k in range(last):
        gap = local_us[rows[k + 1]] - local_us[rows[k]]
        if votes < 2 and gap != 0:
            step, votes = _vote(step, votes, gap)
    gap = _outer_gap(local_us[rows[last]] - (second if sign > 0 else first), after_us, sign)
    if votes < 2 and gap > 0:
        step, votes = _vote(step, votes, sign * gap)
    return step, votes


@inner
def _vote(step: int, votes: int, gap: int) -> tuple[int, int]:
    if abs(gap - step) <= abs(step) // 8:
        return step, min(votes + 1, _VOTES_MAX)
    if votes == 0:
        return gap, 1
    return step, votes - 1


@inner
def _observe(state: Int64Array, code: int, utc: int) -> None:
    _observe_own(state[code * STATE_SIZE : (code + 1) * STATE_SIZE], utc)


@inner
def _observe_own(own: Int64Array, utc: int) -> None:
    """Take a settled row into the state of its series."""
    gap = 0 if own[0] == NEVER else utc - own[0]
    if gap != 0 and abs(gap) <= _NEAR_US:
        own[1], own[2] = _vote(own[1], own[2], gap)
    own[0] = utc


@inner
def _find_window(windows: Int64Array, local: int) -> tuple[int, int, int]:
    """Return the index of the window that holds `local`, and its two offsets."""
    count = windows.size // 3
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        if windows[middle] <= local:
            low = middle
        else:
            high = middle
    return low, windows[count + low], windows[2 * count + low]


@inner
def _calm_part(windows: Int64Array, window: int) -> tuple[int, int, int]:
    """Return where a plain window is over two days from a repeated hour: from, to, and its offset."""
    count = windows.size // 3
    calm_from = windows[window]
    if window > 0 and windows[count + window - 1] > windows[2 * count + window - 1]:
        calm_from += _NEAR_US
    calm_to = 2**63 - 1
    if window + 1 < count:
        calm_to = windows[window + 1]
        if windows[count + window + 1] > windows[2 * count + window + 1]:
            calm_to -= _NEAR_US
    return calm_from, calm_to, windows[count + window]

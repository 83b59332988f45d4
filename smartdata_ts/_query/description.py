"""A query's description: which series, which span, which steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from smartdata_ts._storage.catalog import Catalog
from smartdata_ts._storage.snapshot import Snapshot
from smartdata_ts._time.calendar import Calendar, Edges
from smartdata_ts._time.span import TIME_MAX, TIME_MIN

if TYPE_CHECKING:
    from smartdata_ts._detect.step import Detect
    from smartdata_ts._steps.across import Across
    from smartdata_ts._steps.frame import Step
    from smartdata_ts._steps.join import Join


class Source(Protocol):
    """What a query needs of a store."""

    def pin(self, as_of: int | None = None) -> tuple[Catalog, Snapshot]:
        """The catalog, and the readings as of a commit, or of the newest."""


@dataclass(frozen=True)
class Resample:
    """Aggregates over buckets of a calendar."""

    calendar: Calendar | Edges
    aggregates: tuple[str, ...]
    empty: bool


@dataclass(frozen=True)
class Last:
    """The newest reading of each series."""


@dataclass(frozen=True)
class Description:
    """What every face of a query needs."""

    store: Source
    series: tuple[str, ...] | None = None
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    start_us: int | None = None
    end_us: int | None = None  # exclusive
    steps: "tuple[Resample | Last | Step, ...]" = ()
    as_of: int | None = None  # a commit; None: the newest
    qualities: tuple[int, ...] | None = None  # codes; None: all
    tz: str = "UTC"  # of buckets, unless they say otherwise
    across: "Across | None" = None  # of the buckets that the steps made
    join: "Join | None" = None  # with the rows of another query
    on_corrupt: str = "raise"  # or "skip"

    @property
    def _span(self) -> tuple[int, int]:
        """The first and the last microsecond that was asked for, and before it what rules look back on."""
        time_min = TIME_MIN if self.start_us is None else self.start_us
        if self._detect is not None and self.start_us is not None:
            time_min = max(time_min - self._detect.look_back_us, TIME_MIN)
        return time_min, TIME_MAX if self.end_us is None else self.end_us - 1

    @property
    def _detect(self) -> "Detect | None":
        """The step that gives findings, which is a query's last, where it has one."""
        last = self.steps[-1] if self.steps else None
        return cast("Detect", last) if hasattr(last, "look_back_us") else None

    @property
    def _frame_steps(self) -> "tuple[Step, ...]":
        """The steps, where they go from frame to frame; else none."""
        return tuple(step for step in self.steps if not isinstance(step, Resample | Last))

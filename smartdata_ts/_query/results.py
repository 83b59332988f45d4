"""The result of a query, in whatever form is asked for."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from smartdata_ts._arguments import flag, text
from smartdata_ts._read.losses import Loss, find_losses, losses_table, summary, with_losses
from smartdata_ts._read.plan import Plan, make_plan
from smartdata_ts._read.scan import reading_batches
from smartdata_ts._read.threads import Result
from smartdata_ts._readings.schema import READINGS_SCHEMA
from smartdata_ts._storage.catalog import Catalog
from smartdata_ts._storage.fork import in_this_process
from smartdata_ts._storage.snapshot import Snapshot
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.errors import CorruptChunkError, DamageWarning, MissingDependencyError, UsageError
from smartdata_ts.kernels.arrays import Int64Array

from .description import Description, Last, Resample
from .selection import Selection, selected, tag_values

# Whoever asks without steps loads none of them: a step's modules are imported where it is run.
if TYPE_CHECKING:
    import pandas
    import polars

    from smartdata_ts._meter.facts import Facts
    from smartdata_ts._steps.across import Members
    from smartdata_ts._steps.folding import Part
    from smartdata_ts._steps.frame import Step

_REMEMBERED_SERIES_MAX = 100_000  # of a plan, which takes some hundred bytes a block


@dataclass(frozen=True)
class _Known:
    """What the catalog says of the selection, by position, as far as the steps ask."""

    facts: "Facts | None"
    tags: dict[str, list[str | None]]
    losses: list[Loss]  # what of it is damaged, where that is left out


class Results(Description):
    """What a query gives, once it is asked."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of the result."""
        if self.across is not None:
            return self.across.schema(self._source_schema)
        return self._source_schema if self.join is None else self.join.schema(self._source_schema)

    @property
    def _source_schema(self) -> pa.Schema:
        """Of what the steps make."""
        if not self.steps or isinstance(self.steps[-1], Last):
            return READINGS_SCHEMA
        last = self.steps[-1]
        if not isinstance(last, Resample):
            return last.schema
        from smartdata_ts._steps.resample import resample_schema

        return resample_schema(last.aggregates)

    def to_batches(self) -> pa.RecordBatchReader:
        """The result, batch by batch, in bounded memory; a stable view of the store as of this call.

        Raises UnknownSeriesError where a key is named that the store does not hold.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> [batch.num_rows for batch in store.query().to_batches()]
        [1]
        """
        return self._run()[0]

    def _run(self) -> tuple[pa.RecordBatchReader, pa.StringArray]:
        """The result, and the keys of the series that it is of."""
        plan, known = self._plan()
        if known.losses:
            problems = tuple(loss.problem for loss in known.losses)
            warnings.warn(DamageWarning(summary(known.losses), problems), stacklevel=3)
        if self.across is not None:
            members = self._members(plan, known)
            schema = self.across.schema(self._source_schema, members.unit)
            batches = self.across.run(self._parts(plan, known.facts, members), self._source_schema, members)
        else:
            batches, schema = self._step_batches(plan, known.facts, _as_it_is), self.schema
        if self.join is not None:
            tags = {} if self.join.by is None else self.tags_by_key(self.join.by)
            batches = self.join.run(batches, self._source_schema, plan.keys.to_pylist(), tags)
        if self.on_corrupt == "skip":
            schema = with_losses(schema, known.losses)
        return pa.RecordBatchReader.from_batches(schema, in_this_process(batches)), plan.keys

    def losses(self) -> pa.Table:
        """What of the readings that the query asks for is damaged; no row where all is sound.

        One row a block, or a chunk that cannot be opened (series is null, and readings counts all series in
        it): file, series, first_time, last_time, readings, problem. With `on_corrupt="skip"` a result lacks
        them, and what they had superseded stands in their place; it says so in its schema's metadata
        (`smartdata_ts.losses`, JSON), and by a DamageWarning.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query(on_corrupt="skip").losses().num_rows
        0
        """
        return losses_table(replace(self, on_corrupt="skip")._plan()[1].losses)

    def tags_by_key(self, name: str) -> dict[str, str | None]:
        """A tag of every series that is selected, by key; None where it has none.

        Raises UsageError where no series of the store has a tag of this name.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe(["wm-17", "wm-18"], tags={"zone": "DMA-7"})
        >>> store.query().tags_by_key("zone")
        {'wm-17': 'DMA-7', 'wm-18': 'DMA-7'}
        """
        name = text("name", name)
        catalog, _ = self.store.pin()
        chosen = selected(catalog, self.series, self.tags)
        return dict(zip(chosen.keys.to_pylist(), tag_values(catalog, chosen, name), strict=True))

    def _members(self, plan: Plan, known: _Known) -> "Members":
        from smartdata_ts._steps.consumption import Consumption

        assert self.across is not None
        assert known.facts is not None
        step, facts = self.steps[0], known.facts
        units = facts.units
        if isinstance(step, Consumption):
            units = facts.amount_units if step.unit is None else [step.unit] * len(units)
        return self.across.members(plan.keys, known.tags, units, facts.quantities)

    def _step_batches(
        self, plan: Plan, facts: "Facts | None", finish: "Callable[[pa.RecordBatch], Result]"
    ) -> "Iterator[Result]":
        """What the steps make of the plan, batch by batch, which threads `finish` where there are any."""
        if not self.steps:
            return map(finish, reading_batches(plan))
        step = self.steps[0]
        if isinstance(step, Resample):
            from smartdata_ts._steps.resample import resample_batches

            intervals_us = [] if facts is None else facts.intervals_us
            return resample_batches(plan, step.calendar, step.aggregates, step.empty, intervals_us, finish)
        if isinstance(step, Last):
            from smartdata_ts._steps.last import last_batch

            return map(finish, [last_batch(plan)])
        assert facts is not None
        return self._frame_batches(plan, facts, finish)

    def _frame_batches(
        self, plan: Plan, facts: "Facts", finish: "Callable[[pa.RecordBatch], Result]"
    ) -> "Iterator[Result]":
        from smartdata_ts._steps.frame import Frame
        from smartdata_ts._steps.pipeline import frame_batches, to_batch

        steps = self._fused_steps()
        if (detect := self._detect) is not None:
            return detect.batches(plan, self._wide_span, steps, facts, finish)
        schema = steps[-1].schema

        def finished(frame: Frame) -> Result:
            return finish(to_batch(frame, plan.keys, schema))

        return frame_batches(plan, self._wide_span, steps, facts, finished)

    def _parts(self, plan: Plan, facts: "Facts | None", members: "Members") -> "Iterator[Part]":
        """What the buckets of some series at a time come to, for the aggregate across all."""
        assert self.across is not None
        if self._frame_steps:
            from smartdata_ts._steps.pipeline import frame_batches
            from smartdata_ts._steps.registers.folds import folds, part_of

            assert facts is not None
            step = folds(self._fused_steps(), self.across, members)
            if step is not None:
                return frame_batches(plan, self._wide_span, (step,), facts, part_of)
        return self._step_batches(plan, facts, partial(self.across.part_of, members=members))

    def _fused_steps(self) -> "tuple[Step, ...]":
        """The steps from frame to frame, as they are run."""
        from smartdata_ts._steps.bucket_values import BucketValues
        from smartdata_ts._steps.buckets import Buckets
        from smartdata_ts._steps.consumption import Consumption
        from smartdata_ts._steps.hold import Hold
        from smartdata_ts._steps.registers.buckets import fused
        from smartdata_ts._steps.within import Within

        steps = self._frame_steps
        if self._detect is None and not isinstance(steps[-1], Consumption | Hold | Buckets | BucketValues):
            steps = (*steps, Within(*self._span, self._source_schema))
        return fused(steps)

    @property
    def _wide_span(self) -> tuple[int, int]:
        """What must be read: who needs neighbours sees to them, other steps reach out of the span."""
        steps = self._frame_steps
        if not steps or steps[0].needs_neighbours:
            return self._span
        from smartdata_ts._steps.within import widened

        return widened(self._span, steps)

    def _plan(self) -> tuple[Plan, _Known]:
        while True:
            catalog, snapshot = self.store.pin(self.as_of)
            last = catalog.last_commit()
            # A chunk that a compaction has removed since is no corruption; the newer commit is whole.
            try:
                plan, known = self._plan_on(catalog, snapshot)
                if not known.losses or self._is_newest(catalog, snapshot, last):
                    return plan, known
            except CorruptChunkError:
                if self._is_newest(catalog, snapshot, last):
                    raise

    def _is_newest(self, catalog: Catalog, snapshot: Snapshot, last: int) -> bool:
        return catalog.last_commit() == last == (last if self.as_of else snapshot.commit)

    def _plan_on(self, catalog: Catalog, snapshot: Snapshot) -> tuple[Plan, _Known]:
        chosen = selected(catalog, self.series, self.tags)
        steps = self._frame_steps
        span = (TIME_MIN, TIME_MAX) if steps and steps[0].needs_neighbours else self._wide_span
        losses: list[Loss] = []
        if self.on_corrupt == "skip":
            snapshot, losses = find_losses(snapshot, chosen.ids, *span)
        facts, tags = None, {}
        if self._needs_facts:
            facts = chosen.remembered("facts", lambda: _facts(catalog, chosen.ids))
        if facts is not None and self._detect is not None:
            facts = replace(
                facts, tags={name: catalog.tags_of(chosen.ids, name) for name in catalog.tag_names()}
            )
        for name in () if self.across is None else self.across.by:
            tags[name] = tag_values(catalog, chosen, name)
        return self._plan_of(chosen, snapshot, span), _Known(facts, tags, losses)

    def _plan_of(self, chosen: Selection, snapshot: Snapshot, span: tuple[int, int]) -> Plan:
        """What is to be read of a selection; that of the newest commit is kept for the next question."""
        qualities = None if self.qualities is None else tuple(self.qualities)
        make = partial(make_plan, snapshot, chosen.ids, chosen.keys, *span, qualities)
        is_present = self.as_of is None and self.on_corrupt != "skip"
        if not is_present or chosen.ids.size > _REMEMBERED_SERIES_MAX:
            return make()
        plan = chosen.remembered(("plan", snapshot.commit, span, qualities), make)
        return plan if plan.snapshot is snapshot else make()

    @property
    def _needs_facts(self) -> bool:
        if self.across is not None:
            return True
        step = self.steps[0] if self.steps else Last()
        if not isinstance(step, Resample):
            return not isinstance(step, Last)
        from smartdata_ts._steps.resample import expects

        return expects(step.aggregates)

    def to_arrow(self, wide: bool = False) -> pa.Table:
        """The whole result as an Arrow table; where `wide`, a row a time and a column a series.

        Columns of a wide table are called by the series' keys, and by what they hold where that is of
        several kinds. Only values go into it: no qualities, no ends of intervals.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query().to_arrow()["value"].to_pylist()
        [1.5]
        >>> store.query().to_arrow(wide=True).column_names
        ['time', 'wm-17']
        """
        is_wide = flag("wide", wide)
        if is_wide and self._detect is not None:
            raise UsageError("findings have no wide form: to_arrow() without wide=True")
        reader, keys = self._run()
        if not is_wide:
            return reader.read_all()
        from .wide import wide_table

        return wide_table(reader, reader.schema, keys.to_pylist()).replace_schema_metadata(
            reader.schema.metadata
        )

    def to_pandas(self) -> "pandas.DataFrame":
        """The whole result as a pandas frame; MissingDependencyError where pandas is not installed.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query().to_pandas()["value"].tolist()
        [1.5]
        """
        try:
            import pandas  # noqa: F401
        except ImportError as problem:
            raise MissingDependencyError("to_pandas needs pandas: pip install pandas") from problem
        return self.to_arrow().to_pandas()

    def to_polars(self) -> "polars.DataFrame":
        """The whole result as a polars frame; MissingDependencyError where polars is not installed.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query().to_polars()["value"].to_list()
        [1.5]
        """
        try:
            import polars
        except ImportError as problem:
            raise MissingDependencyError("to_polars needs polars: pip install polars") from problem
        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The result as an Arrow C stream, for whatever reads Arrow."""
        return self.to_batches().__arrow_c_stream__(requested_schema)


def _as_it_is(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def _facts(catalog: Catalog, ids: Int64Array) -> "Facts":
    from smartdata_ts._meter.facts import Exchange, Facts

    names = ("kind", "interval_us", "register_digits", "multiplier", "unit", "quantity")
    kinds, intervals_us, digits, multipliers, units, quantities = catalog.facts_of(ids, names).values()
    said = catalog.exchange_rows(ids)
    positions = {number: position for position, number in enumerate(ids.tolist())} if said else {}
    exchanges: dict[int, list[Exchange]] = {}
    for number, _, time, final, initial, _, multiplier, new_digits in said:
        exchange = Exchange(time, final, initial, multiplier, new_digits)
        exchanges.setdefault(positions[number], []).append(exchange)
    return Facts(kinds, intervals_us, digits, multipliers, units, quantities, exchanges)

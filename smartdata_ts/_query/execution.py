"""Execution: a query's store is pinned, its blocks are found, and its work is done."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from smartdata_ts._read.losses import Loss, find_losses, summary, with_losses
from smartdata_ts._read.plan import Plan
from smartdata_ts._read.planning import make_plan
from smartdata_ts._read.scan import reading_batches
from smartdata_ts._storage.catalog import Catalog
from smartdata_ts._storage.fork import in_this_process
from smartdata_ts._storage.snapshot import Snapshot
from smartdata_ts.errors import CorruptChunkError, DamageWarning
from smartdata_ts.kernels.arrays import Int64Array

from .description import Description
from .planner import Work, folded, work_of
from .selection import Selection, selected, tag_values

# A question without steps loads none of them: a step's modules are imported where it is asked for.
if TYPE_CHECKING:
    from collections.abc import Callable

    from smartdata_ts._meter.facts import Facts
    from smartdata_ts._steps.frame import Frame
    from smartdata_ts._steps.step import FrameStep

_REMEMBERED_SERIES_MAX = 100_000  # of a plan, which takes some hundred bytes a block

# The plan, the facts and tags that the work asks for, and the damage, where damaged blocks are left out.
_Found = tuple[Plan, "Facts | None", dict[str, list[str | None]], list[Loss]]


def run(query: Description) -> tuple[pa.RecordBatchReader, pa.StringArray]:
    """Return (result stream, keys of its series)."""
    work = work_of(query)
    plan, facts, tags, losses = _found(query, work)
    if losses:
        warnings.warn(DamageWarning(summary(losses), tuple(loss.problem for loss in losses)), stacklevel=3)
    if work.whole_step is None:
        batches, schema = _batches(work, plan, facts, _as_it_is), work.source
    else:
        batches, schema = _of_all(query, work, plan, facts, tags)
    if query.on_corrupt == "skip":
        schema = with_losses(schema, losses)
    return pa.RecordBatchReader.from_batches(schema, in_this_process(batches)), plan.keys


def losses_of(query: Description) -> list[Loss]:
    """The damage among the readings that a query asks for."""
    return _found(query, work_of(query))[3]


def _of_all(
    query: Description, work: Work, plan: Plan, facts: "Facts | None", tags: dict[str, list[str | None]]
) -> tuple[Iterator[pa.RecordBatch], pa.Schema]:
    """The result of a step over all series, and its columns."""
    from smartdata_ts._steps.step import Known

    assert work.whole_step is not None
    whole = work.whole_step.opened(work.source, Known(plan.keys, facts, tags, query.steps[0]))
    one = folded(work, whole)
    if one is None:
        return whole.run(_batches(work, plan, facts, whole.part_of)), whole.schema
    from smartdata_ts._steps.registers.folds import part_of

    return whole.run(_frames(work, plan, facts, (one,), part_of)), whole.schema


def _batches(
    work: Work,
    plan: Plan,
    facts: "Facts | None",
    finish: "Callable[[pa.RecordBatch], Any]",
) -> Iterator[Any]:
    """The batches of the steps before the last over all series, finished, on threads where there are any."""
    if work.plan_step is not None:
        return work.plan_step.run(plan, facts, finish)
    if not work.frame_steps:
        return map(finish, reading_batches(plan))
    from smartdata_ts._steps.pipeline import to_batch

    last = work.frame_steps[-1]

    def finished(frame: "Frame") -> Any:
        if last.makes_batches:
            assert facts is not None
            return finish(last.batch(frame, plan.keys, facts))
        return finish(to_batch(frame, plan.keys, work.source))

    return _frames(work, plan, facts, work.frame_steps, finished)


def _frames(
    work: Work,
    plan: Plan,
    facts: "Facts | None",
    steps: "tuple[FrameStep, ...]",
    finish: "Callable[[Frame], Any]",
) -> Iterator[Any]:
    from smartdata_ts._steps.pipeline import frame_batches

    assert facts is not None
    return frame_batches(plan, work.span, work.asked, steps, facts, finish)


def _found(query: Description, work: Work) -> _Found:
    """Pin the store, and find what the work needs."""
    while True:
        catalog, snapshot = query.store.pin(query.as_of)
        last = catalog.last_commit()
        # A chunk that a compaction has removed since is no corruption; the newer commit is whole.
        try:
            found = _found_in(query, work, catalog, snapshot)
            if not found[3] or _is_newest(query, catalog, snapshot, last):
                return found
        except CorruptChunkError:
            if _is_newest(query, catalog, snapshot, last):
                raise


def _is_newest(query: Description, catalog: Catalog, snapshot: Snapshot, last: int) -> bool:
    return catalog.last_commit() == last == (last if query.as_of else snapshot.commit)


def _found_in(query: Description, work: Work, catalog: Catalog, snapshot: Snapshot) -> _Found:
    chosen = selected(catalog, query.series, query.tags)
    losses: list[Loss] = []
    if query.on_corrupt == "skip":
        snapshot, losses = find_losses(snapshot, chosen.ids, *work.found_in)
    facts = chosen.remembered("facts", lambda: _facts(catalog, chosen.ids)) if work.needs_facts else None
    if facts is not None and any(step.needs_tags for step in query.steps):
        facts = replace(facts, tags={name: catalog.tags_of(chosen.ids, name) for name in catalog.tag_names()})
    tags = {name: tag_values(catalog, chosen, name) for name in work.tags}
    return _plan_of(query, work, chosen, snapshot), facts, tags, losses


def _plan_of(query: Description, work: Work, chosen: Selection, snapshot: Snapshot) -> Plan:
    """The blocks to read of a selection; a plan of the newest commit is kept for the next question."""
    make = partial(make_plan, snapshot, chosen.ids, chosen.keys, *work.found_in, query.qualities)
    is_present = query.as_of is None and query.on_corrupt != "skip"
    if not is_present or chosen.ids.size > _REMEMBERED_SERIES_MAX:
        return make()
    plan = chosen.remembered(("plan", snapshot.commit, work.found_in, query.qualities), make)
    return plan if plan.snapshot is snapshot else make()


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

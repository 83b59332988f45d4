"""The step that ends a query with findings: every rule sees the same frame."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from smartdata_ts._detect.findings import FINDINGS_SCHEMA, Finding, findings_batch
from smartdata_ts._detect.rows import DAY_US, Rows
from smartdata_ts._detect.rule import Rule
from smartdata_ts._detect.texts import text_of
from smartdata_ts._meter.facts import Facts
from smartdata_ts._read.plan import Plan
from smartdata_ts._read.threads import Result
from smartdata_ts._steps.frame import Context, Frame, Step
from smartdata_ts._steps.pipeline import frame_batches
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts._time.zone import load_zone


@dataclass(frozen=True)
class FoundFrame(Frame):
    """The rows of a frame, all of which were looked at, and what was found in them."""

    found: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Detect:
    """Findings of some rules, in place of rows."""

    rules: tuple[Rule, ...]
    tz: str
    lang: str
    now: int | None  # us UTC; None: the newest reading of the store
    start_us: int | None  # of the span that was asked for
    unit: str | None  # of the amounts, where one was asked for

    needs_neighbours = False

    @property
    def schema(self) -> pa.Schema:
        """The table of findings."""
        return FINDINGS_SCHEMA

    @property
    def look_back_us(self) -> int:
        """How much is read before the span, for rules to know what is usual."""
        return max((rule.look_back_days for rule in self.rules), default=0) * DAY_US

    def run(self, frame: Frame, context: Context) -> FoundFrame:
        """What each rule finds that goes on within the span."""
        now = TIME_MAX if self.now is None else self.now
        rows = Rows(frame, context, self.tz, now, self.unit)
        start = TIME_MIN if self.start_us is None else self.start_us
        found = [
            finding
            for rule in self.rules
            for finding in rule.find(rows)
            if finding.end is None or finding.end > start
        ]
        found.sort(
            key=lambda finding: (finding.slot, finding.start)
        )  # rules in their order where times agree
        part = (frame.first, frame.end, frame.slots, frame.starts, frame.ends, frame.values, frame.qualities)
        return FoundFrame(*part, found=tuple(found))

    def batches(
        self,
        plan: Plan,
        span: tuple[int, int],
        steps: tuple[Step, ...],
        facts: Facts,
        finish: Callable[[pa.RecordBatch], Result],
    ) -> Iterator[Result]:
        """The findings of a query that ends with this step, some series at a time."""
        zone = load_zone(self.tz)
        classes = {rule.name: type(rule) for rule in self.rules}

        def finished(frame: Frame) -> Result:
            assert isinstance(frame, FoundFrame)
            texts = [text_of(finding, classes[finding.rule], zone, self.lang) for finding in frame.found]
            tags = [_tags_at(facts, frame.first + finding.slot) for finding in frame.found]
            return finish(findings_batch(frame.found, plan.keys, frame.first, texts, tags))

        now = plan.snapshot.span()[1] if self.now is None else self.now
        return frame_batches(plan, span, (*steps[:-1], replace(self, now=now)), facts, finished)


def _tags_at(facts: Facts, position: int) -> dict[str, str]:
    found = {name: values[position] for name, values in facts.tags.items()}
    return {name: value for name, value in found.items() if value is not None}

"""The step that ends a query with findings: every rule sees the same frame."""

from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from smartdata_ts._detect.findings import FINDINGS_SCHEMA, Finding, findings_batch
from smartdata_ts._detect.rows import DAY_US, Rows
from smartdata_ts._detect.rule import Rule
from smartdata_ts._detect.texts import text_of
from smartdata_ts._meter.facts import Facts
from smartdata_ts._steps.frame import Context, Frame
from smartdata_ts._steps.step import FrameStep
from smartdata_ts._time.instant import instant_text
from smartdata_ts._time.span import TIME_MIN
from smartdata_ts._time.zone import load_zone


@dataclass(frozen=True)
class FoundFrame(Frame):
    """The rows of a frame, which were all looked at, and the findings in them."""

    found: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Detect(FrameStep):
    """Findings of some rules, in place of rows."""

    rules: tuple[Rule, ...]
    tz: str
    lang: str
    now_us: int | None  # UTC; None: the newest reading of the store
    unit: str | None  # of the amounts, where one was asked for
    method = "detect"
    minds_span = True
    widens_span = True
    makes_batches = True
    needs_tags = True

    def arguments(self) -> dict[str, Any]:
        """The rules with the options that are not their defaults, the language and the time."""
        now = None if self.now_us is None else instant_text(self.now_us)
        return {"rules": [_said(rule) for rule in self.rules], "lang": self.lang, "now": now}

    def schema(self, source: pa.Schema) -> pa.Schema:
        """The table of findings."""
        del source
        return FINDINGS_SCHEMA

    def tie_of_times(self, is_open: bool) -> str | None:
        """A finding has one id, and begins where it begins."""
        del is_open
        return "a finding that crosses a cut would be two"

    @property
    def reach_us(self) -> tuple[int | None, int | None]:
        """The rules' look-back, before the span."""
        return max((rule.look_back_days for rule in self.rules), default=0) * DAY_US, 0

    def run(self, frame: Frame, context: Context) -> FoundFrame:
        """Collect each rule's findings that go on within the query's span."""
        before, _ = self.reach_us
        assert before is not None
        start = TIME_MIN if context.time_min == TIME_MIN else context.time_min + before
        now = context.snapshot.span()[1] if self.now_us is None else self.now_us
        rows = Rows(frame, context, self.tz, now, self.unit)
        found = [
            finding
            for rule in self.rules
            for finding in rule.find(rows)
            if finding.end is None or finding.end > start
        ]
        # Rules keep their order where times agree.
        found.sort(key=lambda finding: (finding.slot, finding.start))
        part = (frame.first, frame.end, frame.slots, frame.starts, frame.ends, frame.values, frame.qualities)
        return FoundFrame(*part, found=tuple(found))

    def batch(self, frame: Frame, keys: pa.StringArray, facts: Facts) -> pa.RecordBatch:
        """Make the table of a frame's findings."""
        assert isinstance(frame, FoundFrame)
        zone = load_zone(self.tz)
        classes = {rule.name: type(rule) for rule in self.rules}
        texts = [text_of(finding, classes[finding.rule], zone, self.lang) for finding in frame.found]
        tags = [_tags_at(facts, frame.first + finding.slot) for finding in frame.found]
        return findings_batch(frame.found, keys, frame.first, texts, tags)


def _said(rule: Rule) -> str | list[Any]:
    known = rule.defaults()
    options = {name: value for name, value in asdict(rule).items() if value != known[name]}
    return [rule.name, options] if options else rule.name


def _tags_at(facts: Facts, position: int) -> dict[str, str]:
    found = {name: values[position] for name, values in facts.tags.items()}
    return {name: value for name, value in found.items() if value is not None}

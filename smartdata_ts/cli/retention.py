"""Say for how long readings are kept, and apply it."""

from pathlib import Path

import click

from ._command import command, option
from ._options import store_argument, tz_option

_SAY, _APPLY = "The rules", "Applying them"
_FACTS = ("series", "quantity", "tz")


@command(
    "retention",
    "smartdata-ts retention city.sdts --rule 'series=test-* raw=30d' --tz Europe/Oslo "
    "--rule 'quantity=water tag:zone=north raw=2y 1h=5y 1mo=forever'",
    "smartdata-ts retention city.sdts",
    "smartdata-ts retention city.sdts --dry-run",
    "smartdata-ts retention city.sdts --apply",
)
@store_argument
@option(
    "--rule",
    "rules",
    multiple=True,
    metavar="TEXT",
    section=_SAY,
    help="What is kept, from fine to coarse, and up to which age; again for further rules. The first that "
    "fits a series counts.",
)
@option("--clear", is_flag=True, section=_SAY, help="Forget all rules.")
@option("--apply", is_flag=True, section=_APPLY, help="Thin out and remove what is older.")
@option("--dry-run", is_flag=True, section=_APPLY, help="Tell what that would remove.")
@option("--now", metavar="TIME", section=_APPLY, help="Ages count from here.  [default: now]")
@tz_option
def retention(
    store: Path, rules: tuple[str, ...], clear: bool, apply: bool, dry_run: bool, now: str | None, tz: str
) -> None:
    """Say for how long readings are kept, and apply it; else list the rules.

    A rule is words such as `quantity=water tag:zone=north raw=2y 1h=5y 1d=10y 1mo=forever`: raw readings for
    two years, then of every hour one until they are five years old, and so on. Hours, days and months go
    by --tz. A coarser reading depends on the kind of a series: the last of a register, the sum of amounts,
    the mean of a gauge.
    """
    if bool(rules) + clear + apply + dry_run > 1:
        raise click.UsageError("take one of --rule, --clear, --apply and --dry-run")
    from smartdata_ts import open as open_store

    with open_store(store, "r") as opened:  # what is not there is not created
        if not (rules or clear or apply or dry_run):
            for rule in opened.retention():
                click.echo(_text_of(rule))
            return
        if dry_run:
            report = opened.apply_retention(now, dry_run=True, tz=tz)
    with open_store(store) as opened:
        if rules or clear:
            opened.set_retention([_rule_of(text) for text in rules], tz)
            return
        if apply:
            report = opened.apply_retention(now, tz=tz)
    click.echo(
        f"{report.readings_removed:,} readings of {report.series:,} series "
        + ("would be removed" if dry_run else "removed")
        + f", {report.readings_made:,} coarser ones put in their place"
    )
    if report.series_left:
        click.echo(
            f"{len(report.series_left):,} series left as they are, since nothing says their kind; "
            f"describe them, such as {report.series_left[0]}",
            err=True,
        )


def _rule_of(text: str) -> dict[str, object]:
    rule: dict[str, object] = {}
    keep: dict[str, str] = {}
    tags: dict[str, list[str]] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise click.UsageError(f"{word!r} in rule {text!r} is not NAME=VALUE")
        if name in _FACTS:
            rule[name] = value
        elif name.startswith("tag:"):
            tags.setdefault(name[4:], []).append(value)
        else:
            keep[name] = value
    return {**rule, "tags": tags, "keep": keep}


def _text_of(rule: dict[str, object]) -> str:
    tags, keep = rule.get("tags", {}), rule["keep"]
    assert isinstance(tags, dict)
    assert isinstance(keep, dict)
    words = [f"{name}={rule[name]}" for name in _FACTS if name in rule]
    words += [f"tag:{name}={value}" for name, values in tags.items() for value in values]
    return " ".join([*words, *(f"{resolution}={age}" for resolution, age in keep.items())])

"""How commands are found and how their help looks; unused parameters are click's."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

# In the order of their use; each is a file of this folder, and the function in it.
COMMANDS = {
    "demo": "demo",
    "import": "import_",
    "export": "export",
    "info": "info",
    "series": "series",
    "describe": "describe",
    "exchange": "exchange",
    "read": "read",
    "resample": "resample",
    "balance": "balance",
    "last": "last",
    "commits": "commits",
    "changes": "changes",
    "delete": "delete",
    "erase": "erase",
    "retention": "retention",
    "compact": "compact",
    "verify": "verify",
    "backup": "backup",
    "salvage": "salvage",
    "warmup": "warmup",
}

# The program's help shows these without loading the commands; a command that is missing here is loaded.
SUMMARIES = {
    "demo": "Show it all on a made-up municipality.",
    "import": "Read files into a store.",
    "export": "Write readings to a file.",
    "info": "Say what a store holds.",
    "series": "List series with their facts and tags.",
    "describe": "Say what series are.",
    "exchange": "Say that a meter took another's place; without a KEY, list what was said.",
    "read": "Print readings, or what they amount to, by series and time.",
    "resample": "Print aggregates over buckets of time.",
    "balance": "Print what flows into a zone against what is metered within.",
    "last": "Print the newest reading of each series.",
    "commits": "List the commits: number, time, note, readings after it.",
    "changes": "Print readings that were added, replaced or deleted.",
    "delete": "Delete readings of series, all or within a span.",
    "erase": "Erase series: no byte of them is left in any file.",
    "retention": "Say for how long readings are kept, and apply it; else list the rules.",
    "compact": "Fold chunks that overlap, or are small, into few.",
    "verify": "Hold all that is stored to its checksums.",
    "backup": "Copy a store to TARGET, while writers go on.",
    "salvage": "Copy what is sound of a damaged store to TARGET.",
    "warmup": "Compile all kernels ahead of their use.",
}


@dataclass
class Invocation:
    """The state of one run of the program."""

    debug: bool = False


class Option(click.Option):
    """An option that stands under a heading of the help."""

    def __init__(self, *arguments: Any, section: str = "Options", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.section = section


class Command(click.Command):
    """A command with examples in its help."""

    def __init__(self, *arguments: Any, examples: tuple[str, ...] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples
        self.params.append(
            Option(
                ["--debug"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_set_debug,
                help="Show the traceback of an error.",
            )
        )

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        last = sections.pop("Options", [])
        for name, records in [*sections.items(), ("Options", last)]:
            with formatter.section(name):
                formatter.write_dl(records)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples as they would be typed."""
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Group(click.Group):
    """The program: loads the file of a command when it is named."""

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002
        """The commands' names."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__package__}.{COMMANDS[name]}")
        found: click.Command = getattr(module, COMMANDS[name])
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with what it does."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(context, name)) for name in COMMANDS])

    def _summary(self, context: click.Context, name: str) -> str:
        if name in SUMMARIES:
            return SUMMARIES[name]
        found = self.get_command(context, name)
        return found.get_short_help_str(200) if found else ""


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function, whose docstring is its help; it may return an exit status."""
    return click.command(
        name,
        cls=Command,
        examples=examples,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def option(
    *names: str, section: str = "Options", **settings: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option under a heading of the help."""
    return click.option(*names, cls=Option, section=section, **settings)


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and isinstance(context.obj, Invocation):
        context.obj.debug = True

"""The commands' own help as one page: python -m smartdata_ts.cli._reference docs/cli.md."""

import sys
from pathlib import Path

import click

from . import PROGRAM, program
from ._command import COMMANDS

_WIDTH = 96


def page() -> str:
    """The page, in Markdown."""
    root = _context(program, PROGRAM, None)
    parts = ["# The command line", "Made by `make docs` from the commands' own help.", _help(root)]
    for name in COMMANDS:
        command = program.get_command(root, name)
        assert command is not None
        parts += [f"## {name}", _help(_context(command, name, root))]
    return "\n\n".join(parts) + "\n"


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def _help(context: click.Context) -> str:
    return f"```text\n{context.get_help().strip()}\n```"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")

"""The command line: one file a command, loaded when it is called for.

Only what a command does may be heavy: the files import click, and all else inside their functions.

Exit status: 0 done, 1 failed, 2 a wrong command, 3 rows were rejected, 130 interrupted.
"""

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from smartdata_ts import __version__
from smartdata_ts.errors import SmartDataError, UsageError

from ._command import Group, Invocation

PROGRAM = "smartdata-ts"

DONE, FAILED, WRONG_COMMAND, INTERRUPTED = 0, 1, 2, 130


class _WithoutPandas:
    """Says that pandas is not there.

    pyarrow loads it, where it is installed, to see whether it was given one of its objects; this program
    has none, and would wait 0.4 s for that.
    """

    def find_spec(self, fullname: str, *_: object) -> None:
        """No module of this name, if it is pandas."""
        if fullname == "pandas":
            raise ImportError("pandas is not needed here")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status; for a process of its own."""
    sys.meta_path.insert(0, _WithoutPandas())
    # Imported modules stay: to search them for garbage again and again takes a tenth of a short run.
    gc.set_threshold(50_000, 10, 10)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status, after one line about what went wrong."""
    invocation = Invocation()
    try:
        status = call(sys.argv[1:] if arguments is None else arguments, invocation)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough. Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"\n{PROGRAM}: interrupted", err=True)
        return INTERRUPTED
    except Exception as problem:
        if invocation.debug:
            import traceback

            traceback.print_exc()
        message, status = _explain(problem)
        click.echo(f"{PROGRAM}: error: {' '.join(message.split())}", err=True)
    return status


def call(arguments: Sequence[str], invocation: Invocation) -> int:
    """Run one command; return its status. Not click's `main`, which takes a closed pipe for a failure."""
    try:
        with program.make_context(PROGRAM, list(arguments), obj=invocation) as context:
            status: int | None = program.invoke(context)
            return status or DONE
    except click.exceptions.Exit as end:
        return end.exit_code


def _explain(problem: Exception) -> tuple[str, int]:
    """Return the message of an error, and the exit status."""
    if isinstance(problem, click.UsageError):
        command = problem.ctx.command_path if problem.ctx else PROGRAM
        return f"{problem.format_message()} ({command} --help tells more)", WRONG_COMMAND
    if isinstance(problem, click.ClickException):
        return problem.format_message(), FAILED
    if isinstance(problem, UsageError):
        return str(problem), WRONG_COMMAND
    if isinstance(problem, SmartDataError | OSError):
        return str(problem), FAILED
    return f"{type(problem).__name__}: {problem} (a fault of ours; --debug shows where)", FAILED


@click.group(
    cls=Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    """Keep meter readings at about a byte each, and ask them questions.

    A store is a directory; there is no server. Results are tables on a terminal and CSV in a pipe.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())

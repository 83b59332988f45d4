"""Runs the command line in this process or in a child."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

from smartdata_ts import cli

CHILD = [sys.executable, "-m", "smartdata_ts"]


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


def run(*arguments) -> Outcome:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run([str(argument) for argument in arguments])
    for stream in (out, err):
        stream.flush()
    return Outcome(status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


def run_child(*arguments, **options) -> Outcome:
    command = [*CHILD, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)

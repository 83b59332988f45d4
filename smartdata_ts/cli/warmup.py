"""Compile all kernels ahead of their first use."""

import sys

import click

from ._command import command


@command("warmup", "smartdata-ts warmup")
def warmup() -> None:
    """Compile all kernels ahead of their use.

    For images and installers. Without it, each kernel is compiled when it is first called, and kept.
    """
    from smartdata_ts.kernels.compiler.warmup import warmup

    is_terminal = sys.stderr.isatty()

    def progress(done: int, count: int, name: str) -> None:
        if is_terminal:
            click.echo(f"\r\x1b[K{done} of {count}  {name}", nl=False, err=True)

    report = warmup(progress)
    if is_terminal:
        click.echo("\r\x1b[K", nl=False, err=True)
    if report.mode != "machine code":
        click.echo(f"nothing to do: kernels run by {report.mode} here, which keeps no machine code")
        return
    count, folders = len(report.kernels), ", ".join(map(str, report.folders))
    new = (
        f"{report.compiled_count} compiled in {report.seconds:.1f} s" if report.compiled_count else "none new"
    )
    click.echo(f"{count} kernels ready, {new}: {folders}")

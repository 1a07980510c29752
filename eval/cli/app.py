"""The command line as a whole: every command in a file of its own, which imports what it needs when it is called."""

from __future__ import annotations

from typing import Annotated

from thinkpace import __version__
from thinkpace.errors import MissingExtra

try:
    import typer

    from thinkpace.eval.cli import doctor, folders, grade, run, serve, sweep
except ModuleNotFoundError as error:
    raise MissingExtra("the command line", "eval") from error

HELP = "Set the pace at which a reasoning model thinks, and measure what the thinking bought."
TRY, SWEEPS, MORE = "Try it", "Sweeps", "More"

app = typer.Typer(no_args_is_help=True, help=HELP, pretty_exceptions_enable=False, rich_markup_mode=None)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thinkpace {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


for panel, commands in (
    (TRY, (run.run, doctor.doctor)),
    (SWEEPS, (sweep.sweep, folders.resume, folders.report, folders.compare, folders.ls, folders.validate)),
    (MORE, (grade.grade, serve.serve)),
):
    for command in commands:
        app.command(rich_help_panel=panel)(command)

"""The command line as a whole: every command in a file of its own, which imports what it needs when it is called."""

from __future__ import annotations

from typing import Annotated

from thinkpace.errors import MissingExtra
from thinkpace.version import __version__

try:
    import typer

    from thinkpace.eval.cli import doctor, figure, folders, grade, run, serve, sweep
    from thinkpace.eval.cli.grouped_help import GroupedCommand, GroupedCommands
except ModuleNotFoundError as error:
    raise MissingExtra("the command line", "eval") from error

HELP = "Set the pace at which a reasoning model thinks, and measure what the thinking bought."
TRY, SWEEPS, MORE = "Try it", "Sweeps", "More"

app = typer.Typer(
    cls=GroupedCommands, no_args_is_help=True, help=HELP, pretty_exceptions_enable=False, rich_markup_mode=None
)


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


for panel, command, summary in (
    (TRY, run.run, "Generate one answer and show how it was thought."),
    (TRY, doctor.doctor, "Check a model: its markers, its vocabulary, its engine."),
    (SWEEPS, sweep.sweep, "Measure accuracy against thinking tokens."),
    (SWEEPS, folders.resume, "Finish a sweep that was stopped."),
    (SWEEPS, folders.report, "Write the tables, plots and page of a sweep again."),
    (SWEEPS, figure.figure, "Draw a figure for a paper or a slide."),
    (SWEEPS, folders.compare, "Compare settings on the same questions."),
    (SWEEPS, folders.ls, "List sweeps and how far they are."),
    (SWEEPS, folders.salvage, "Take the good samples out of a damaged sweep."),
    (SWEEPS, folders.validate, "Check a file of options, or a sweep's folder."),
    (MORE, grade.grade, "Grade outputs that were recorded before."),
    (MORE, serve.serve, "Serve a model over HTTP, as OpenAI does."),
):
    app.command(cls=GroupedCommand, rich_help_panel=panel, short_help=summary)(command)

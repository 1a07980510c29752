"""Help in groups, as plain text.

Typer shows `rich_help_panel` only with Rich, which also puts errors into boxes, which break lines.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


def _write(formatter: Any, rows: list[tuple[str | None, tuple[str, str]]], rest: str) -> None:
    """Rows under the headings of their groups, in order of appearance; rows without a group come last, under `rest`."""
    groups = dict.fromkeys(heading for heading, _ in rows if heading)
    for group in (*groups, None):
        of_group = [row for heading, row in rows if heading == group]
        if of_group:
            with formatter.section(group or rest):
                formatter.write_dl(of_group)


class GroupedCommand(TyperCommand):
    """A command whose help shows its options by `rich_help_panel`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        rows = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                default = "Arguments" if param.param_type_name == "argument" else None
                rows.append((getattr(param, "rich_help_panel", None) or default, record))
        grouped = any(heading not in (None, "Arguments") for heading, _ in rows)
        _write(formatter, rows, "Other options" if grouped else "Options")


class GroupedCommands(TyperGroup):
    """Commands whose help shows them by `rich_help_panel`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = []
        for name in self.list_commands(ctx):
            command: Any = self.commands[name]
            rows.append((command.rich_help_panel, (name, command.get_short_help_str(formatter.width))))
        _write(formatter, rows, "Commands")

"""`thinkpace doctor`: check what works with a model's tokenizer, its chat template and the engine."""

from __future__ import annotations

import typer

from thinkpace.eval import embedded
from thinkpace.eval.cli import options


def doctor(
    model: options.Model = embedded.NAME,
    engine: options.EngineName = None,
    control: options.Controls = None,
    open_marker: options.Open = None,
    close_marker: options.Close = None,
) -> None:
    """Check which controls work with a model's tokenizer, its chat template and the engine; generates nothing.

    Without --control, every kind of control is checked. Exit code 0 if all work, 1 if something is refused.
    """
    from rich.console import Console

    from thinkpace.eval.doctor import Finding, all_work, check_model
    from thinkpace.eval.engines import engine_kind, read_model
    from thinkpace.eval.sweeps.parse import controls_of, markers_of
    from thinkpace.processors import Control

    kind = engine_kind(engine, model)
    files = read_model(model, kind)
    chains, unread = list[tuple[Control, ...]](), list[Finding]()
    for text in control or ():
        try:
            chains.append(controls_of(text))
        except (ValueError, TypeError) as error:
            unread.append(Finding("control", "refused", text, str(error)))
    findings = check_model(
        files.vocabulary,
        files.chat_template,
        markers=markers_of(open_marker, close_marker),
        controls=chains,
        usual=not control,
        context_tokens=files.context_tokens,
        special=files.special,
        engine=kind,
    )
    findings += unread
    console = Console()
    for finding in findings:
        mark = {"works": "[green]works  [/]", "refused": "[bold red]refused[/]", "note": "[dim]note   [/]"}
        console.print(f"{mark[finding.verdict]} {finding.topic:10}", end=" ", highlight=False)
        console.print(f"{finding.subject}: {finding.says}", highlight=False, markup=False, soft_wrap=True)
    if not all_work(findings):
        raise typer.Exit(1)

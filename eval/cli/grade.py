"""`thinkpace grade`: verdicts for recorded outputs of any source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkpace.eval.grading.grader import GRADER_NAMES
from thinkpace.eval.grading.rules import RULES


def grade(
    file: Annotated[Path, typer.Argument(help="JSON Lines with id, answer (the known one) and text (the output).")],
    grader: Annotated[str, typer.Option(help=f"How answers are compared: {', '.join(GRADER_NAMES)}.")],
    out: Annotated[Path, typer.Option(help="Output file: the input lines with verdict and extracted answer.")],
    open_marker: Annotated[
        str | None, typer.Option("--open", help="Opening marker of thinking.", show_default="<think>")
    ] = None,
    close_marker: Annotated[
        str | None, typer.Option("--close", help="Closing marker of thinking.", show_default="</think>")
    ] = None,
    opened: Annotated[
        bool | None,
        typer.Option(
            "--opened/--not-opened",
            help="Whether the prompt already opened thinking.",
            show_default="opened if the text closes thinking before it opens it",
        ),
    ] = None,
    final: Annotated[
        str | None, typer.Option(help="A text that a control wrote: the answer is what follows it.")
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option(
            help=f"Rules that find the answer, in the order to try them, comma-separated: {', '.join(RULES)}.",
            show_default="all but flexible",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which rule found which answer, and what the other rules find.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of the math grader.", show_default="one per CPU")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds the math grader may take for one answer.", show_default="20"),
    ] = None,
) -> None:
    """Grade recorded outputs: right, wrong, truncated, no_answer or error for each.

    The answer is searched for after the thinking; a text whose thinking never closes is truncated. By default the
    answer is, in this order: what follows --final, "Final Answer:", the last \\boxed{}, what follows "####", the last
    <answer>, what follows "answer is" or "Answer:", or the whole text if it is one word. --rules chooses the rules and
    their order.
    """
    from dataclasses import replace

    from rich.console import Console

    from thinkpace.eval.grading import recorded
    from thinkpace.eval.grading.extract import rules_of
    from thinkpace.eval.sweeps.parse import markers_of
    from thinkpace.processors import Markers

    if out.resolve() == file.resolve():
        raise ValueError("--out is the file itself: name another one")
    markers = markers_of(open_marker, close_marker) or Markers("<think>", "</think>")
    rows = recorded.graded(
        recorded.read(file),
        grader,
        markers=replace(markers, opened_by_prompt=opened),
        final=final,
        rules=None if rules is None else rules_of(rules),
        workers=workers,
        timeout=timeout,
        explain=explain,
    )
    recorded.write(rows, out)
    for verdict, count in recorded.counts(rows).most_common():
        Console().print(f"{verdict:10} {count}", highlight=False)
    if explain:
        for rule, (found, right) in recorded.by_rule(rows).items():
            Console().print(f"{rule:10} found {found} answers, {right} of them right", highlight=False)

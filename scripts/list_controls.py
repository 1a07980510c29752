"""Write the tables of controls in README.md and docs/controls.md from the controls themselves.

    python scripts/list_controls.py [--check]

A row has the control's name, the first line of its docstring, its examples, and the first sentence of its "Source:".
With --check the script writes nothing, and the exit code is 1 if a table is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import re
from pathlib import Path

from thinkpace import Control
from thinkpace.processors import CONTROLS

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/controls.md")
BEGIN, END = "<!-- controls: begin (scripts/list_controls.py writes this table) -->", "<!-- controls: end -->"


def table() -> str:
    """The table, in Markdown."""
    rows = ["| control | what it does | for example | source |", "|---|---|---|---|"]
    return "\n".join([*rows, *map(_row, CONTROLS)])


def _row(kind: type[Control]) -> str:
    doc = inspect.getdoc(kind) or ""
    source = re.search(r"^Source: (.+?)\.(?:\s|$)", doc, re.MULTILINE | re.DOTALL)
    if source is None:
        raise ValueError(f"the docstring of {kind.__name__} has no line 'Source: ...'")
    linked = re.sub(r"arXiv (\d{4}\.\d{5})", r"[\1](https://arxiv.org/abs/\1)", " ".join(source[1].split()))
    summary = doc.partition("\n")[0].removesuffix(".").replace("|", "\\|")
    examples = "<br>".join(f"`{_example(control)}`" for control in kind.examples())
    return f"| `{kind.__name__}` | {summary} | {examples} | {linked} |"


def _example(control: Control) -> str:
    """A control as people write it: gates by their functions."""
    text = repr(control)
    gate = re.fullmatch(r"(During|After)\(\w+=(.+?), inner=(.+)\)", text)
    return f"{gate[1].lower()}({gate[2]}, {gate[3]})" if gate else text


def outdated(root: Path) -> list[str]:
    """The pages whose table is not what the controls say."""
    return [page for page in PAGES if _written((root / page).read_text()) != (root / page).read_text()]


def _written(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"a page lacks its marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    pages = outdated(ROOT)
    for page in pages:
        if not arguments.check:
            (ROOT / page).write_text(_written((ROOT / page).read_text()))
        print(f"{page}: {'out of date: run scripts/list_controls.py' if arguments.check else 'written'}")
    return 1 if pages and arguments.check else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Write the table of thinking markers in docs/markers.md, by rendering chat templates.

    python scripts/markers_table.py FOLDER [--out docs/markers.md]

FOLDER holds the templates, one `.jinja` file each. No model is known by name: the table shows what
`Markers.from_chat_template` and `switches` find.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from thinkpace import Markers, UnsupportedControl
from thinkpace.processors.text.chat_template import stance, switches

HEAD = """# Thinking markers by chat template

Made by `python scripts/markers_table.py FOLDER` from {count} chat templates; `Markers.from_chat_template` finds the
markers of any other template in the same way. The column "prompt" says what the generation prompt does to thinking if
no argument is given. Arguments that are not listed change nothing. Where the markers cannot be known,
`from_chat_template` raises an error: pass `Markers("<open tag>", "<close tag>")`.

| template | opens | closes | written to close by force | prompt | arguments of the template |
|---|---|---|---|---|---|
"""
REFUSED = """
## Refused

No markers can be derived from these templates; each gives an error that says what to pass.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/markers.md"))
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.jinja"), key=lambda path: path.name.lower())
    if not files:
        raise SystemExit(f"there is no .jinja file in {options.folder}")
    rows, refused = list[str](), list[str]()
    for path in files:
        source = path.read_text(encoding="utf-8")
        try:
            markers = Markers.from_chat_template(source)
        except UnsupportedControl as error:
            reason = str(error).partition(": ")[2].partition("; pass")[0]
            refused.append(f"- {path.stem}: {reason}")
            continue
        arguments = "; ".join(f"`{name}` {does}" for name, does in switches(source).items()) or "none"
        cells = [path.stem, *map(_code, (markers.open, markers.close, markers.forced_close)), stance(source), arguments]
        rows.append(f"| {' | '.join(cells)} |")
    text = HEAD.format(count=len(files)) + "\n".join(rows) + "\n"
    options.out.write_text(text + (REFUSED + "\n".join(refused) + "\n" if refused else ""), encoding="utf-8")
    print(f"{len(rows)} templates with markers, {len(refused)} refused: {options.out}")


def _code(text: str) -> str:
    return "`" + text.replace("\n", "\\n").replace("|", "\\|") + "`"


if __name__ == "__main__":
    main()

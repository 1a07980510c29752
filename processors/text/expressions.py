"""Texts that several controls search for."""

from __future__ import annotations

#: expressions that start another thought; TIP's own list is not published (arXiv 2501.18585), this one is ours, from
#: recorded traces of R1 and its distilled models
THOUGHT_SWITCHES = (
    "wait",
    "alternatively",
    "hmm",
    "hold on",
    "on second thought",
    "another approach",
    "another way",
    "let me try",
    "let me reconsider",
)

BLANK_LINE = ("\n\n",)

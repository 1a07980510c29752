"""A small vocabulary with everything that is awkward about real ones: what laws and cases are checked on."""

from __future__ import annotations

from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors import Markers

_WORDS = ("<", "/", "think", ">", "Wait", "so", "a", "\n", "<eos>", "<t>", "</t>", "Q", "7", " ", ";", "?")

#: words, markers of one token and of several, and the three bytes of one character as tokens of their own
VOCABULARY = WordVocabulary((*_WORDS, "漢1", "漢2", "漢3"))
_PIECES = (*VOCABULARY.pieces[:-3], *("漢".encode()[i : i + 1] for i in range(3)))
object.__setattr__(VOCABULARY, "pieces", _PIECES)

#: markers of one token, of several whose beginnings are ordinary words, and a forced close with text around it
MARKERS = (Markers("<t>", "</t>"), Markers("<think>", "</think>"), Markers("<think>", "</think>", "\n</think>\n"))

"""The time of the first token of an answer, on Hugging Face and llama.cpp."""

from __future__ import annotations

from typing import Any

import pytest
from support import first_answers
from support.places import HAS_LLAMA_CPP


def test_hugging_face(engine: Any) -> None:
    first_answers.check(engine)


@pytest.mark.skipif(not HAS_LLAMA_CPP, reason="needs llama-cpp-python: pip install '.[llama-cpp,serve]'")
def test_llama_cpp(llama_engine: Any) -> None:
    first_answers.check(llama_engine)

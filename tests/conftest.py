"""Shared fixtures: the embedded model on Hugging Face, and where the shared data lies if it is there."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: no test may look for a network

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=3000)  # --hypothesis-profile=thorough
settings.load_profile("default")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def engine():  # type: ignore[no-untyped-def]  # the type would import torch for every test
    """The embedded model as an engine."""
    from thinkpace.adapters.hf_engine import HFEngine
    from thinkpace.eval import embedded

    return HFEngine.from_path(embedded.path("hf"), name=embedded.NAME)

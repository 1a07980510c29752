"""The embedded model: a tiny reasoning model that ships with the package, and the problems it can solve.

It is a test organism: what it shows is that the controls work, not what they buy on a large model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

NAME = "embedded"


def path(form: Literal["hf"] = "hf") -> Path:
    """The folder that holds the model.

    Args:
        form: "hf": safetensors, configuration, tokenizer and chat template, as transformers loads them.

    Raises:
        ValueError: for another form.
        FileNotFoundError: if the package was built without the model.
    """
    if form != "hf":
        raise ValueError(f"the embedded model comes as 'hf', not {form!r}")
    folder = Path(__file__).parent / "hf"
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"the embedded model is not in {folder}: make it with scripts/train_embedded.py")
    return folder

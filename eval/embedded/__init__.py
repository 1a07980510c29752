"""The embedded model: a tiny reasoning model that ships with the package, and the problems it can solve.

It is a test organism: what it shows is that the controls work, not what they buy on a large model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

NAME = "embedded"
#: what its engines are called in journals and reports, by kind of engine
ENGINE_NAMES = {"hf": NAME, "llama.cpp": f"{NAME} on llama.cpp", "vllm": f"{NAME} on vLLM"}
GGUF_FILES = {"embedded-f32.gguf": "F32", "embedded-q8_0.gguf": "Q8_0"}  # with the type of their matrices

_FORMS = {
    "hf": ("hf", "hf/model.safetensors", "scripts/train_embedded.py"),
    "gguf": ("gguf/embedded-f32.gguf", "gguf/embedded-f32.gguf", "scripts/embedded_gguf.py"),
    "gguf-q8_0": ("gguf/embedded-q8_0.gguf", "gguf/embedded-q8_0.gguf", "scripts/embedded_gguf.py"),
}


def path(form: Literal["hf", "gguf", "gguf-q8_0"] = "hf") -> Path:
    """Where the model lies.

    Args:
        form: "hf": a folder with safetensors, configuration, tokenizer and chat template, as transformers loads them;
            "gguf": a file for llama.cpp with the same weights; "gguf-q8_0": the same, quantised.

    Raises:
        ValueError: for another form.
        FileNotFoundError: if the package was built without it.
    """
    if form not in _FORMS:
        raise ValueError(f"the embedded model comes as {', '.join(map(repr, _FORMS))}, not {form!r}")
    name, needed, script = _FORMS[form]
    here = Path(__file__).parent
    if not (here / needed).is_file():
        raise FileNotFoundError(f"the embedded model is not in {here / name}: make it with {script}")
    return here / name

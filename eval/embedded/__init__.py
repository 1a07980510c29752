"""The embedded model: a tiny reasoning model that ships with the package, and the problems it can solve.

It is for tests: it shows that the controls work, not how much they gain on a large model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

NAME = "embedded"
#: engine kind -> name of the engine in journals and reports
ENGINE_NAMES = {"hf": NAME, "llama.cpp": f"{NAME} on llama.cpp", "vllm": f"{NAME} on vLLM"}
GGUF_FILES = {"embedded-f32.gguf": "F32", "embedded-q8_0.gguf": "Q8_0"}  # file -> type of its matrices

_FORMS = {
    "hf": ("hf", "hf/model.safetensors", "scripts/train_embedded.py"),
    "gguf": ("gguf/embedded-f32.gguf", "gguf/embedded-f32.gguf", "scripts/embedded_gguf.py"),
    "gguf-q8_0": ("gguf/embedded-q8_0.gguf", "gguf/embedded-q8_0.gguf", "scripts/embedded_gguf.py"),
}


def path(form: Literal["hf", "gguf", "gguf-q8_0"] = "hf") -> Path:
    """The path of the model.

    Args:
        form: "hf": a folder with safetensors, configuration, tokenizer and chat template, for transformers; "gguf": a
            file with the same weights, for llama.cpp; "gguf-q8_0": that file quantised.

    Raises:
        ValueError: for another form.
        FileNotFoundError: if the package was built without the model.
    """
    if form not in _FORMS:
        raise ValueError(f"the embedded model comes as {', '.join(map(repr, _FORMS))}, not {form!r}")
    name, needed, script = _FORMS[form]
    here = Path(__file__).parent
    if not (here / needed).is_file():
        raise FileNotFoundError(f"the embedded model is not in {here / name}: make it with {script}")
    return here / name

"""Reads the tokenizer, chat template and limits of a folder or hub name, without weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from thinkpace.adapters.vocabularies.hf import HFVocabulary
from thinkpace.adapters.vocabularies.model_files import ModelFiles
from thinkpace.errors import MissingExtra


def gguf_of(path: str | Path) -> tuple[str | Path, dict[str, str]]:
    """The folder of a GGUF file and the argument that names it to transformers; any other path, and nothing.

    Raises:
        MissingExtra: for a GGUF file, without gguf and accelerate.
    """
    path = Path(path) if str(path).endswith(".gguf") else path
    if not isinstance(path, Path) or path.suffix != ".gguf":
        return path, {}
    if any(importlib.util.find_spec(name) is None for name in ("gguf", "accelerate")):
        raise MissingExtra("reading a GGUF file with transformers", "hf-gguf")
    return path.parent, {"gguf_file": path.name}


def read_model_files(path: str | Path) -> ModelFiles:
    """Read tokenizer, chat template and context length, without the weights.

    Args:
        path: a folder, a name on the hub, or a GGUF file.

    Raises:
        MissingExtra: without transformers.
        ValueError: if there is no tokenizer.
    """
    try:
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig
    except ModuleNotFoundError as error:
        raise MissingExtra("looking at a transformers model", "hf") from error
    where, file = gguf_of(path)
    if file and not Path(path).is_file():
        raise ValueError(f"there is no file {str(path)!r}")
    if str(path).startswith((".", "/", "~")) and not file and not Path(path).is_dir():
        raise ValueError(f"there is no folder {str(path)!r}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **file)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"there is no tokenizer in {str(path)!r} that transformers can load ({reason})") from None
    try:
        context = getattr(AutoConfig.from_pretrained(where, **file), "max_position_embeddings", None)
    except (OSError, ValueError, KeyError):
        context = None  # a folder with only a tokenizer is valid too
    try:
        ends = GenerationConfig.from_pretrained(where).eos_token_id
    except (OSError, ValueError):
        ends = None
    template = tokenizer.chat_template
    return ModelFiles(
        HFVocabulary(tokenizer, () if ends is None else ends if isinstance(ends, list) else (ends,)),
        template if isinstance(template, str) else None,
        context,
        {name: getattr(tokenizer, name, None) or "" for name in ("bos_token", "eos_token")},
    )

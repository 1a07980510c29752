"""Reads the tokenizer, chat template and limits of a folder or hub name, without weights."""

from __future__ import annotations

from pathlib import Path

from thinkpace.adapters.vocabularies.hf import HFVocabulary
from thinkpace.adapters.vocabularies.model_files import ModelFiles
from thinkpace.errors import MissingExtra


def read_model_files(path: str | Path) -> ModelFiles:
    """Read tokenizer, chat template and context length, without the weights.

    Args:
        path: a folder, or a name on the hub.

    Raises:
        MissingExtra: without transformers.
        ValueError: if there is no tokenizer.
    """
    try:
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig
    except ModuleNotFoundError as error:
        raise MissingExtra("looking at a transformers model", "hf") from error
    if str(path).startswith((".", "/", "~")) and not Path(path).is_dir():
        raise ValueError(f"there is no folder {str(path)!r}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"there is no tokenizer in {str(path)!r} that transformers can load ({reason})") from None
    try:
        context = getattr(AutoConfig.from_pretrained(path), "max_position_embeddings", None)
    except (OSError, ValueError, KeyError):
        context = None  # a folder with only a tokenizer is valid too
    try:
        ends = GenerationConfig.from_pretrained(path).eos_token_id
    except (OSError, ValueError):
        ends = None
    template = tokenizer.chat_template
    return ModelFiles(
        HFVocabulary(tokenizer, () if ends is None else ends if isinstance(ends, list) else (ends,)),
        template if isinstance(template, str) else None,
        context,
        {name: getattr(tokenizer, name, None) or "" for name in ("bos_token", "eos_token")},
    )

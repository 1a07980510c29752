"""Shared prefixes: the model reads each once, and its cache is cropped to what each row shares of it.

Rows are padded on the left, so a row's part of the cache is right-aligned. Cropping needs one state per token and
layer, so it does not work for sliding windows, recurrent layers or quantized caches. Nor does it work if states depend
on later tokens (rotary embeddings that change with the length, bidirectional attention). Then every row is read as
usual.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from thinkpace.processors.text.vocabulary import TokenIds


def trunks(rows: Sequence[TokenIds]) -> tuple[list[int], list[int]]:
    """Select the rows whose cache serves all rows.

    A row can use the cache of another row that begins with all of its tokens but the last, which is fed anyway.

    Args:
        rows: ids.

    Returns:
        Indices of the rows to read; and for every row the index in that list of the row whose cache it uses.
    """
    read, source = list[int](), [0] * len(rows)
    for place in sorted(range(len(rows)), key=lambda place: -len(rows[place])):
        prefix = rows[place][:-1]
        index = next((i for i, other in enumerate(read) if rows[other][: len(prefix)] == prefix), len(read))
        if index == len(read):
            read.append(place)
        source[place] = index
    return read, source


def shared_cache(
    model: PreTrainedModel,
    rows: Sequence[TokenIds],
    padded: Callable[[Sequence[TokenIds]], tuple[torch.Tensor, torch.Tensor]],
) -> DynamicCache | None:
    """The model's cache of every row but its last token, from as few forward passes as there are trunks.

    Args:
        model: a causal language model.
        rows: ids.
        padded: makes ids and mask of rows, padded on the left; Long[rows, longest] each.

    Returns:
        A cache of [rows, heads, longest - 1, size] per layer; None if no two rows share a prefix, or this model's cache
        cannot be cropped.
    """
    read, source = trunks(rows)
    config = model.config.get_text_config()
    turns = str(getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None))
    if "longrope" in turns or "dynamic" in turns or getattr(config, "use_bidirectional_attention", False):
        return None
    takes = inspect.signature(model.base_model.forward).parameters
    if len(read) == len(rows) or max(map(len, rows)) < 2 or not {"position_ids", "past_key_values"} <= set(takes):
        return None
    ids, mask = padded([rows[place] for place in read])
    cache = DynamicCache(config=model.config)
    layers = [layer for layer in cache.layers if type(layer) is DynamicLayer]  # subclasses drop states
    if len(layers) < len(cache.layers):
        return None
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    model.base_model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
    pads = [ids.shape[1] - len(rows[place]) for place in read]
    width = max(map(len, rows)) - 1
    for layer in layers:
        assert layer.keys is not None
        assert layer.values is not None
        layer.keys = _cropped(layer.keys, rows, source, pads, width)
        layer.values = _cropped(layer.values, rows, source, pads, width)
    return cache


def _cropped(
    states: torch.Tensor, rows: Sequence[TokenIds], source: Sequence[int], pads: Sequence[int], width: int
) -> torch.Tensor:
    """[rows, heads, width, size]: the part of each row's trunk that the row shares, right-aligned after zeros."""
    out = states.new_zeros((len(rows), states.shape[1], width, states.shape[3]))
    for place, (row, trunk) in enumerate(zip(rows, source, strict=True)):
        length, pad = len(row) - 1, pads[trunk]
        out[place, :, width - length :] = states[trunk, :, pad : pad + length]
    return out

"""Beginnings that rows share: read by the model once, and its cache cropped to what each row has of them.

Rows are padded on the left, so a row's part of the cache stands at its right end. A cache that is not one state a
token and layer (sliding windows, states of recurrent layers, quantized ones) cannot be cropped like that, nor one whose
states depend on what comes later (rotations that change with the length, attention in both directions); then the rows
are read as usual.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from thinkpace.processors.text.vocabulary import TokenIds


def trunks(rows: Sequence[TokenIds]) -> tuple[list[int], list[int]]:
    """Which rows are to be read for all of them.

    A row can be taken from another one that begins with all of it but its last token, which is fed anyway.

    Args:
        rows: ids.

    Returns:
        Places of the rows that are read; and for every row the index in that list of the one that it is taken from.
    """
    read, source = list[int](), [0] * len(rows)
    for place in sorted(range(len(rows)), key=lambda place: -len(rows[place])):
        known = rows[place][:-1]
        found = next((i for i, other in enumerate(read) if rows[other][: len(known)] == known), len(read))
        if found == len(read):
            read.append(place)
        source[place] = found
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
        A cache of [rows, heads, longest - 1, size] a layer; None if no two rows share, or this model's cannot be
        cropped.
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
    layers = [layer for layer in cache.layers if type(layer) is DynamicLayer]  # none of its kin, which forget
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
    """[rows, heads, width, size]: of every row's trunk what the row has, at its right end; zeros stand before it."""
    out = states.new_zeros((len(rows), states.shape[1], width, states.shape[3]))
    for place, (row, trunk) in enumerate(zip(rows, source, strict=True)):
        length, pad = len(row) - 1, pads[trunk]
        out[place, :, width - length :] = states[trunk, :, pad : pad + length]
    return out

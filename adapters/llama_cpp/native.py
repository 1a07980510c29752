"""llama.cpp through ctypes: a model file, a context of many sequences, and samplers. Nothing else does ctypes."""

from __future__ import annotations

import ctypes
import logging
import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thinkpace.engine import Sampling
from thinkpace.errors import MissingExtra
from thinkpace.processors.text.vocabulary import TokenIds

try:
    import llama_cpp
except ModuleNotFoundError as error:
    raise MissingExtra("the llama.cpp adapter", "llama-cpp") from error

Logits = NDArray[np.float32]
CacheType = Literal["f16", "f32", "q8_0"]

_CACHE_TYPES: dict[str, int] = {"f32": 0, "f16": 1, "q8_0": 8}  # numbers of ggml's types
_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)], align=True)


class ModelFile:
    """A GGUF file that is open.

    Args:
        path: the file.
        gpu_layers: how many layers are kept on a GPU; -1 for all.
        weights: False for the vocabulary and the metadata alone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if llama.cpp cannot load it.
    """

    def __init__(self, path: str | Path, *, gpu_layers: int = 0, weights: bool = True) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {str(path)!r}")
        with Path(path).open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ValueError(f"{str(path)!r} is no GGUF file: llama.cpp loads models of that form only")
        llama_cpp.llama_backend_init()
        _quiet()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.vocab_only = not weights
        pointer = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not pointer:
            raise ValueError(f"llama.cpp cannot load {str(path)!r}: it may be damaged or of an unknown architecture")
        self.pointer = pointer
        self.path = str(path)
        self._owner: Any = None
        self._free: object = weakref.finalize(self, llama_cpp.llama_model_free, pointer)

    @classmethod
    def of(cls, llama: Any) -> ModelFile:
        """The model of a `llama_cpp.Llama`, which stays its owner."""
        self = cls.__new__(cls)
        self.pointer, self.path, self._free = llama.model, str(llama.model_path), None
        self._owner = llama  # frees it
        return self

    @property
    def closed(self) -> bool:
        """Whether the `Llama` that owns the weights was closed."""
        return self._owner is not None and not self._owner.model

    def before_close(self, act: Callable[[], None]) -> None:
        """Have something done before a `Llama` that owns the weights gives them back."""
        if self._owner is not None:
            self._owner._stack.callback(act)

    def beginning(self) -> TokenIds:
        """What the tokenizer puts before a text."""
        wanted = llama_cpp.llama_vocab_get_add_bos(self.vocab)
        return (int(llama_cpp.llama_vocab_bos(self.vocab)),) if wanted else ()

    @property
    def vocab(self) -> Any:
        """What llama.cpp calls the tokenizer."""
        return llama_cpp.llama_model_get_vocab(self.pointer)

    @property
    def trained_tokens(self) -> int:
        """The context that the model was trained with."""
        return int(llama_cpp.llama_model_n_ctx_train(self.pointer))

    @property
    def rewinds(self) -> bool:
        """Whether a sequence can be cut back to any length: not so with recurrent layers."""
        recurrent = llama_cpp.llama_model_is_recurrent(self.pointer) or llama_cpp.llama_model_is_hybrid(self.pointer)
        return not recurrent

    def metadata(self) -> dict[str, str]:
        """Keys and values of the file, arrays left out."""
        count = llama_cpp.llama_model_meta_count(self.pointer)
        keys = [_text(llama_cpp.llama_model_meta_key_by_index, self.pointer, i) for i in range(count)]
        values = [_text(llama_cpp.llama_model_meta_val_str_by_index, self.pointer, i) for i in range(count)]
        return dict(zip(keys, values, strict=True))


def _quiet() -> None:
    """llama.cpp reports hundreds of lines of progress, unless somebody has said how much is wanted."""
    logger = logging.getLogger("llama-cpp-python")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)  # the library takes warnings for errors


def _text(function: Any, pointer: Any, i: int) -> str:
    size = 256
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = function(pointer, i, buffer, size)
        if length < size:
            return buffer.value.decode("utf-8", "replace")
        size = length + 1


@dataclass(frozen=True, slots=True)
class Feed:
    """Tokens of one sequence that go into a decode.

    Args:
        sequence: its number.
        tokens: at least one.
        at: position of the first.
        wanted: whether the logits after the last are wanted.
    """

    sequence: int
    tokens: Sequence[int]
    at: int
    wanted: bool = True


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Context:
    """The memory of several sequences, and what decodes them together.

    Args:
        model: its weights.
        sequences: how many, at least 1.
        cells: tokens that they hold together; those of a copied beginning are shared.
        batch: tokens of one decode at most.
        threads: for decoding; 0 for one per CPU that this process may use: llama.cpp would take 4 of any machine.
        cache_type: of keys and values.
        flash_attention: whether to use it; None for what llama.cpp thinks best.

    Raises:
        ValueError: if there is no memory for it.
    """

    def __init__(
        self,
        model: ModelFile,
        *,
        sequences: int,
        cells: int,
        batch: int,
        threads: int = 0,
        cache_type: CacheType = "f16",
        flash_attention: bool | None = None,
    ) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = cells, batch, batch
        params.n_seq_max, params.kv_unified = sequences, True
        params.type_k = params.type_v = _CACHE_TYPES[cache_type]
        params.no_perf = True
        params.n_threads = params.n_threads_batch = threads or _usable_cpus()
        if flash_attention is not None:
            params.flash_attn_type = int(flash_attention)
        pointer = llama_cpp.llama_init_from_model(model.pointer, params)
        if not pointer:
            raise ValueError(f"llama.cpp makes no context of {cells} tokens and {sequences} sequences: try fewer")
        self._pointer = pointer
        self._model = model  # is freed after the context
        self._memory = llama_cpp.llama_get_memory(pointer)
        self._batch = llama_cpp.llama_batch_init(batch, 0, 1)
        self.batch = batch
        self.width = vocabulary_size(model.vocab)
        self._free = weakref.finalize(self, _free_context, self._batch, pointer)
        model.before_close(self._free)  # llama.cpp wants the context freed before its weights

    def close(self) -> None:
        """Give the memory back; the context is of no use after that."""
        self._free()

    def check_open(self) -> None:
        """Raise a ValueError if it was closed: llama.cpp would not survive its use."""
        if not self._free.alive or self._model.closed:
            raise ValueError("the engine, or the Llama whose weights it uses, was closed: make a new one")

    def decode(self, feeds: Sequence[Feed]) -> Logits:
        """Read tokens into their sequences.

        Returns:
            Float32[wanted, vocabulary], in the order of the feeds; a view that the next decode overwrites.

        Raises:
            RuntimeError: if llama.cpp fails, or finds no room.
        """
        self.check_open()
        batch, place, wanted = self._batch, 0, 0
        for feed in feeds:
            last = len(feed.tokens) - 1
            for i, token in enumerate(feed.tokens):
                batch.token[place] = token
                batch.pos[place] = feed.at + i
                batch.n_seq_id[place] = 1
                batch.seq_id[place][0] = feed.sequence
                batch.logits[place] = feed.wanted and i == last
                place += 1
            wanted += feed.wanted
        batch.n_tokens = place
        code = llama_cpp.llama_decode(self._pointer, batch)
        if code:
            reason = "its memory has no room" if code == 1 else f"code {code}"
            raise RuntimeError(f"llama.cpp could not decode {place} tokens: {reason}")
        if not wanted:
            return np.empty((0, self.width), np.float32)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits(self._pointer), shape=(wanted, self.width))

    def copy(self, source: int, target: int, length: int) -> None:
        """Make the first `length` tokens of one sequence those of an empty one as well; nothing is computed."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def cut(self, sequence: int, length: int) -> bool:
        """Forget what follows the first `length` tokens; False if this memory cannot, and nothing was forgotten."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1))


def _free_context(batch: Any, pointer: Any) -> None:
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(pointer)


class Sampler:
    """Draws from a row by llama.cpp's own chain: temperature, top-k, top-p, min-p, and a generator of its own.

    Args:
        sampling: the filters. They come after the temperature, as in transformers.
        seed: of the generator.
    """

    __slots__ = ("__weakref__", "_candidates", "_chain", "_free", "_greedy")

    def __init__(self, sampling: Sampling, seed: int, candidates: Candidates) -> None:
        self._greedy = sampling.temperature == 0
        self._candidates = candidates
        if self._greedy:
            return
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        add = llama_cpp.llama_sampler_chain_add
        add(chain, llama_cpp.llama_sampler_init_temp(sampling.temperature))
        if sampling.top_k:
            add(chain, llama_cpp.llama_sampler_init_top_k(min(sampling.top_k, candidates.width)))
        if sampling.top_p < 1:
            add(chain, llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            add(chain, llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1))
        add(chain, llama_cpp.llama_sampler_init_dist(seed % 0xFFFFFFFF))  # the largest number means any seed
        self._chain = chain
        self._free = weakref.finalize(self, llama_cpp.llama_sampler_free, chain)

    def draw(self, row: Logits) -> int:
        """An id of the row, which stays as it is."""
        if self._greedy:
            return int(row.argmax())
        return self._candidates.chosen(self._chain, row)


class Candidates:
    """The array that samplers work on; one for all that never run at the same time."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._ids = np.arange(width, dtype=np.int32)
        self._data = np.empty(width, _TOKEN_DATA)
        self._array = llama_cpp.llama_token_data_array()
        self._pointer: Any = ctypes.cast(self._data.ctypes.data, llama_cpp.llama_token_data_p)

    def chosen(self, chain: Any, row: Logits) -> int:
        """What a chain chooses from a row."""
        self._data["id"], self._data["logit"] = self._ids, row
        array = self._array
        array.data, array.size, array.selected, array.sorted = self._pointer, len(self._ids), -1, False
        llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


def vocabulary_size(vocab: Any) -> int:
    """How many ids there are."""
    return int(llama_cpp.llama_vocab_n_tokens(vocab))


def pieces(vocab: Any, size: int) -> tuple[bytes, ...]:
    """The bytes of every token, control tokens included; b"" for what stands for nothing."""
    length, out = 256, []
    buffer = ctypes.create_string_buffer(length)
    for token in range(size):
        found = llama_cpp.llama_token_to_piece(vocab, token, buffer, length, 0, True)
        if found < 0:
            length = -found
            buffer = ctypes.create_string_buffer(length)
            found = llama_cpp.llama_token_to_piece(vocab, token, buffer, length, 0, True)
        out.append(buffer.raw[:found])
    return tuple(out)


def tokenize(vocab: Any, text: str) -> TokenIds:
    """The ids of a text; markers and other special tokens in it are themselves, and nothing is put before it."""
    data = text.encode()
    length = len(data) + 8
    ids = (llama_cpp.llama_token * length)()
    found = llama_cpp.llama_tokenize(vocab, data, len(data), ids, length, False, True)
    if found < 0:
        raise ValueError(f"llama.cpp cannot tokenize a text of {len(data)} bytes")
    return tuple(ids[:found])


def attributes(vocab: Any, size: int) -> list[tuple[int, bool]]:
    """Of every token its attributes, and whether it ends a sequence."""
    return [
        (int(llama_cpp.llama_vocab_get_attr(vocab, i)), bool(llama_cpp.llama_vocab_is_eog(vocab, i)))
        for i in range(size)
    ]


def token_text(vocab: Any, token: int) -> str:
    """The text of a special token; empty for -1, which stands for none."""
    return "" if token < 0 else llama_cpp.llama_vocab_get_text(vocab, token).decode("utf-8", "replace")


def special_texts(vocab: Any) -> dict[str, str]:
    """What chat templates call the beginning and the end of a sequence."""
    return {
        "bos_token": token_text(vocab, llama_cpp.llama_vocab_bos(vocab)),
        "eos_token": token_text(vocab, llama_cpp.llama_vocab_eos(vocab)),
    }


CONTROL: int = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
UNUSED: int = llama_cpp.LLAMA_TOKEN_ATTR_UNUSED

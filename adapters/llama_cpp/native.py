"""llama.cpp through ctypes: model files, contexts of many sequences, and samplers. No other module uses ctypes."""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thinkpace.adapters.free_cpus import free_cpus
from thinkpace.engine import Sampling
from thinkpace.errors import MissingExtra
from thinkpace.processors.text.vocabulary import TokenIds

try:
    import llama_cpp
except ModuleNotFoundError as error:
    raise MissingExtra("the llama.cpp adapter", "llama-cpp") from error

Logits = NDArray[np.float32]
CacheType = Literal["f16", "f32", "q8_0"]

_CACHE_TYPES: dict[str, int] = {"f32": 0, "f16": 1, "q8_0": 8}  # ggml type numbers
_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)], align=True)


class ModelFile:
    """An open GGUF file.

    Args:
        path: the file.
        gpu_layers: number of layers kept on a GPU; -1 for all.
        weights: False to load only the vocabulary and the metadata.

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
        if gpu_layers and not llama_cpp.llama_supports_gpu_offload():
            raise ValueError("this build of llama-cpp-python uses no GPU: leave out gpu_layers (--gpu-layers)")
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
        """The model of a `llama_cpp.Llama`, which keeps ownership."""
        self = cls.__new__(cls)
        self.pointer, self.path, self._free = llama.model, str(llama.model_path), None
        self._owner = llama  # frees the model
        return self

    @property
    def closed(self) -> bool:
        """Whether the `Llama` that owns the weights was closed."""
        return self._owner is not None and not self._owner.model

    def before_close(self, act: Callable[[], None]) -> None:
        """Call `act` before an owning `Llama` frees the weights."""
        if self._owner is not None:
            self._owner._stack.callback(act)

    def beginning(self) -> TokenIds:
        """The token ids that the tokenizer puts before a text."""
        wanted = llama_cpp.llama_vocab_get_add_bos(self.vocab)
        return (int(llama_cpp.llama_vocab_bos(self.vocab)),) if wanted else ()

    @property
    def vocab(self) -> Any:
        """Pointer to llama.cpp's tokenizer."""
        return llama_cpp.llama_model_get_vocab(self.pointer)

    @property
    def trained_tokens(self) -> int:
        """The context length that the model was trained with."""
        return int(llama_cpp.llama_model_n_ctx_train(self.pointer))

    @property
    def rewinds(self) -> bool:
        """Whether a sequence can be cut to any length; False with recurrent layers."""
        recurrent = llama_cpp.llama_model_is_recurrent(self.pointer) or llama_cpp.llama_model_is_hybrid(self.pointer)
        return not recurrent

    def metadata(self) -> dict[str, str]:
        """The file's metadata, without arrays."""
        count = llama_cpp.llama_model_meta_count(self.pointer)
        keys = [_text(llama_cpp.llama_model_meta_key_by_index, self.pointer, i) for i in range(count)]
        values = [_text(llama_cpp.llama_model_meta_val_str_by_index, self.pointer, i) for i in range(count)]
        return dict(zip(keys, values, strict=True))


def _quiet() -> None:
    """Silence llama.cpp's progress messages (hundreds of lines), unless a log level was set."""
    logger = logging.getLogger("llama-cpp-python")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)  # the library logs warnings as errors


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
    """Tokens of one sequence for a decode.

    Args:
        sequence: its number.
        tokens: at least one.
        at: position of the first token.
        wanted: whether the logits after the last token are needed.
    """

    sequence: int
    tokens: Sequence[int]
    at: int
    wanted: bool = True


class Context:
    """The key-value memory of several sequences, which it decodes together.

    Args:
        model: its weights.
        sequences: number of sequences, at least 1.
        cells: tokens that all sequences hold together; a copied prefix is shared.
        batch: maximum number of tokens per decode.
        threads: for decoding; 0 for one per CPU that is free, by the load of the last minute (llama.cpp's own default
            is always 4).
        cache_type: type of keys and values.
        flash_attention: whether to use it; None for llama.cpp's own choice.

    Raises:
        ValueError: if there is not enough memory.
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
        params.n_threads = params.n_threads_batch = threads or free_cpus()
        if flash_attention is not None:
            params.flash_attn_type = int(flash_attention)
        pointer = llama_cpp.llama_init_from_model(model.pointer, params)
        if not pointer:
            raise ValueError(f"llama.cpp makes no context of {cells} tokens and {sequences} sequences: try fewer")
        self._pointer = pointer
        self._model = model  # keeps the weights alive until the context is freed
        self._memory = llama_cpp.llama_get_memory(pointer)
        self._batch = llama_cpp.llama_batch_init(batch, 0, 1)
        self.batch = batch
        self.width = vocabulary_size(model.vocab)
        self._free = weakref.finalize(self, _free_context, self._batch, pointer)
        model.before_close(self._free)  # llama.cpp requires freeing the context before the weights

    def close(self) -> None:
        """Free the memory; the context cannot be used afterwards."""
        self._free()

    def check_open(self) -> None:
        """Raise a ValueError if it was closed, because using it then would crash llama.cpp."""
        if not self._free.alive or self._model.closed:
            raise ValueError("the engine, or the Llama whose weights it uses, was closed: make a new one")

    def decode(self, feeds: Sequence[Feed]) -> Logits:
        """Append tokens to their sequences.

        Returns:
            Float32[wanted, vocabulary], in the order of the feeds; a view that the next decode overwrites.

        Raises:
            RuntimeError: if llama.cpp fails or runs out of memory.
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
        """Share the first `length` tokens of one sequence with an empty one; nothing is computed."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def cut(self, sequence: int, length: int) -> bool:
        """Drop all tokens after the first `length`; False if this memory cannot, and nothing was dropped."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1))


def _free_context(batch: Any, pointer: Any) -> None:
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(pointer)


class Sampler:
    """Draws from a row with llama.cpp's sampler chain (temperature, top-k, top-p, min-p) and its own random generator.

    Args:
        sampling: the filters, applied after the temperature, as in transformers.
        seed: of the random generator.
        candidates: the array to work on.
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
        add(chain, llama_cpp.llama_sampler_init_dist(seed % 0xFFFFFFFF))  # 2^32 - 1 would mean a random seed
        self._chain = chain
        self._free = weakref.finalize(self, llama_cpp.llama_sampler_free, chain)

    def draw(self, row: Logits) -> int:
        """An id drawn from the row, which is not changed."""
        if self._greedy:
            return int(row.argmax())
        return self._candidates.chosen(self._chain, row)


class Candidates:
    """The work array of samplers; one can serve all samplers that never run at the same time."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._ids = np.arange(width, dtype=np.int32)
        self._data = np.empty(width, _TOKEN_DATA)
        self._array = llama_cpp.llama_token_data_array()
        self._pointer: Any = ctypes.cast(self._data.ctypes.data, llama_cpp.llama_token_data_p)

    def chosen(self, chain: Any, row: Logits) -> int:
        """The id that a sampler chain draws from a row."""
        self._data["id"], self._data["logit"] = self._ids, row
        array = self._array
        array.data, array.size, array.selected, array.sorted = self._pointer, len(self._ids), -1, False
        llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


def vocabulary_size(vocab: Any) -> int:
    """Number of token ids."""
    return int(llama_cpp.llama_vocab_n_tokens(vocab))


def pieces(vocab: Any, size: int) -> tuple[bytes, ...]:
    """The bytes of every token, control tokens included; b"" for tokens without text."""
    length, out = 256, []
    buffer = ctypes.create_string_buffer(length)
    for token in range(size):
        written = llama_cpp.llama_token_to_piece(vocab, token, buffer, length, 0, True)
        if written < 0:
            length = -written
            buffer = ctypes.create_string_buffer(length)
            written = llama_cpp.llama_token_to_piece(vocab, token, buffer, length, 0, True)
        out.append(buffer.raw[:written])
    return tuple(out)


def tokenize(vocab: Any, text: str) -> TokenIds:
    """The ids of a text; markers and other special tokens are parsed, and nothing is put before it."""
    data = text.encode()
    length = len(data) + 8
    ids = (llama_cpp.llama_token * length)()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), ids, length, False, True)
    if count < 0:
        raise ValueError(f"llama.cpp cannot tokenize a text of {len(data)} bytes")
    return tuple(ids[:count])


def attributes(vocab: Any, size: int) -> list[tuple[int, bool]]:
    """For every token: its attribute flags, and whether it ends a sequence."""
    return [
        (int(llama_cpp.llama_vocab_get_attr(vocab, i)), bool(llama_cpp.llama_vocab_is_eog(vocab, i)))
        for i in range(size)
    ]


def token_text(vocab: Any, token: int) -> str:
    """The text of a special token; empty for -1 (no such token)."""
    return "" if token < 0 else llama_cpp.llama_vocab_get_text(vocab, token).decode("utf-8", "replace")


def special_texts(vocab: Any) -> dict[str, str]:
    """The texts of the beginning and end tokens, under the names that chat templates use."""
    return {
        "bos_token": token_text(vocab, llama_cpp.llama_vocab_bos(vocab)),
        "eos_token": token_text(vocab, llama_cpp.llama_vocab_eos(vocab)),
    }


CONTROL: int = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
UNUSED: int = llama_cpp.LLAMA_TOKEN_ATTR_UNUSED

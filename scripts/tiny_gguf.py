"""Write small Qwen3 models as GGUF: the embedded one, and ones with random weights for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, by the names of its configuration in transformers."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0


@dataclass(frozen=True)
class Tokens:
    """A byte-level vocabulary: texts and their types, merges, and the ids that mean something."""

    texts: Sequence[str]
    types: Sequence[int]
    eos: int
    merges: Sequence[str] = ("a a",)
    pad: int | None = None
    chat_template: str | None = None


def write(
    target: Path, name: str, shape: Shape, tokens: Tokens, tensors: Tensors, kind: gguf.GGMLQuantizationType
) -> None:
    """Write one file.

    Args:
        target: the file.
        name: of the model.
        shape: its sizes.
        tokens: its vocabulary.
        tensors: by their names in GGUF; the output matrix is that of the embedding.
        kind: of the matrices; vectors stay in F32.
    """
    writer = gguf.GGUFWriter(target, "qwen3")
    writer.add_name(name)
    writer.add_license("Apache-2.0")
    writer.add_context_length(shape.max_position_embeddings)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_block_count(shape.num_hidden_layers)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.num_attention_heads)
    writer.add_head_count_kv(shape.num_key_value_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.rms_norm_eps)
    writer.add_vocab_size(len(tokens.texts))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list(tokens.texts))
    writer.add_token_types(list(tokens.types))
    writer.add_token_merges(list(tokens.merges))
    writer.add_eos_token_id(tokens.eos)
    if tokens.pad is not None:
        writer.add_pad_token_id(tokens.pad)
    writer.add_add_bos_token(False)
    if tokens.chat_template is not None:
        writer.add_chat_template(tokens.chat_template)
    for key, values in sorted(tensors.items()):
        if values.ndim == 1 or kind is gguf.GGMLQuantizationType.F32:
            writer.add_tensor(key, values)
        else:
            writer.add_tensor(key, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_tensors(shape: Shape, vocabulary: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights of a model that has learned nothing."""
    random = np.random.default_rng(seed)
    width, inner = shape.hidden_size, shape.intermediate_size
    queries, keys = shape.num_attention_heads * shape.head_dim, shape.num_key_value_heads * shape.head_dim

    def matrix(*size: int) -> NDArray[np.float32]:
        return random.normal(0, 0.05, size).astype(np.float32)

    out = {"token_embd.weight": matrix(vocabulary, width), "output_norm.weight": np.ones(width, np.float32)}
    for layer in range(shape.num_hidden_layers):
        out |= {
            f"blk.{layer}.{name}.weight": values
            for name, values in {
                "attn_norm": np.ones(width, np.float32),
                "ffn_norm": np.ones(width, np.float32),
                "attn_q_norm": np.ones(shape.head_dim, np.float32),
                "attn_k_norm": np.ones(shape.head_dim, np.float32),
                "attn_q": matrix(queries, width),
                "attn_k": matrix(keys, width),
                "attn_v": matrix(keys, width),
                "attn_output": matrix(width, queries),
                "ffn_gate": matrix(inner, width),
                "ffn_up": matrix(inner, width),
                "ffn_down": matrix(width, inner),
            }.items()
        }
    return out


def made_up(target: Path, texts: Sequence[str], eos: int, unused: int = 0, shape: Shape | None = None) -> Path:
    """Write a model that has learned nothing, whose vocabulary is whole words.

    Args:
        target: the file.
        texts: the words.
        eos: the id that ends a sequence.
        unused: how many ids stand for nothing, after the words.
        shape: sizes; by default as small as can be.
    """
    shape = shape or Shape(32, 32, 1, 1, 1, 32, 512)
    kinds = gguf.TokenType
    tokens = Tokens(
        [*texts, *(f"[unused{i}]" for i in range(unused))],
        [kinds.CONTROL if i == eos else kinds.USER_DEFINED for i in range(len(texts))] + [kinds.UNUSED] * unused,
        eos,
    )
    tensors = random_tensors(shape, len(tokens.texts))
    write(target, "made up", shape, tokens, tensors, gguf.GGMLQuantizationType.F32)
    return target

"""Write the embedded model as GGUF, for llama.cpp: in F32, and quantised to Q8_0.

    pip install -c constraints.txt -e '.[hf,eval,test]'
    python scripts/embedded_gguf.py [--out FOLDER]

The same model always gives the same bytes: nothing in the files depends on when or where they were written.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file
from tiny_gguf import Shape, Tokens, write

from thinkpace.eval import embedded

TENSORS = {  # of a layer: name in safetensors -> name in GGUF
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """The name of a tensor in GGUF.

    >>> gguf_name("model.layers.3.mlp.up_proj.weight")
    'blk.3.ffn_up.weight'
    """
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, *rest = name.removesuffix(".weight").split(".")
    return f"blk.{layer}.{TENSORS['.'.join(rest)]}.weight"


def tokens_of(source: Path, size: int) -> Tokens:
    """The vocabulary of a transformers model whose tokenizer is byte-level and splits as Qwen2's does."""
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    config = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    special = {entry["id"]: entry["content"] for entry in tokenizer["added_tokens"]}
    known = {i: text for text, i in tokenizer["model"]["vocab"].items()} | special
    ids = {text: i for i, text in known.items()}
    kinds = gguf.TokenType
    return Tokens(
        [known.get(i, f"[unused{i}]") for i in range(size)],
        [kinds.CONTROL if i in special else kinds.NORMAL if i in known else kinds.UNUSED for i in range(size)],
        ids[config["eos_token"]],
        [" ".join(pair) for pair in tokenizer["model"]["merges"]],
        ids[config["pad_token"]],
        (source / "chat_template.jinja").read_text(encoding="utf-8"),
    )


def write_all(source: Path, target: Path) -> list[Path]:
    """Write every form of the model.

    Args:
        source: folder of the transformers model.
        target: folder of the files.
    """
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if not config["tie_word_embeddings"]:
        raise ValueError("a model with an output matrix of its own needs it written as output.weight")
    sizes = {name: config[name] for name in Shape.__dataclass_fields__ if name in config}
    shape = Shape(**sizes, rope_theta=config["rope_parameters"]["rope_theta"])
    tensors = {
        gguf_name(name): values.astype(np.float32) for name, values in load_file(source / "model.safetensors").items()
    }
    target.mkdir(exist_ok=True)
    tokens = tokens_of(source, config["vocab_size"])
    for name, kind in embedded.GGUF_FILES.items():
        write(target / name, "thinkpace embedded", shape, tokens, tensors, gguf.GGMLQuantizationType[kind])
    return [target / name for name in embedded.GGUF_FILES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = embedded.path("hf")
    parser.add_argument("--out", type=Path, default=source.parent / "gguf")
    for path in write_all(source, parser.parse_args().out):
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()

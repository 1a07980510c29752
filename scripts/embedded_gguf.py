"""Write the embedded model as GGUF, for llama.cpp: in F32, and quantised to Q8_0.

    pip install -c constraints.txt -e '.[hf,llama-cpp,test]'
    python scripts/embedded_gguf.py

The same bytes come out of the same model: nothing in the files depends on when or where they were written.
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

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


def write(source: Path, target: Path, kind: gguf.GGMLQuantizationType) -> None:
    """Write one file.

    Args:
        source: folder of the transformers model.
        target: the file.
        kind: of the matrices; vectors stay in F32.
    """
    config = json.loads((source / "config.json").read_text())
    if not config["tie_word_embeddings"]:
        raise ValueError("a model with an output matrix of its own needs it written as output.weight")
    writer = gguf.GGUFWriter(target, "qwen3")
    writer.add_name("thinkpace embedded")
    writer.add_license("Apache-2.0")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    _write_tokenizer(writer, source, config["vocab_size"])
    for name, tensor in sorted(load_file(source / "model.safetensors").items()):
        values = tensor.astype(np.float32)
        if values.ndim == 1 or kind is gguf.GGMLQuantizationType.F32:
            writer.add_tensor(gguf_name(name), values)
        else:
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_tokenizer(writer: gguf.GGUFWriter, source: Path, size: int) -> None:
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    config = json.loads((source / "tokenizer_config.json").read_text())
    special = {entry["id"]: entry["content"] for entry in tokenizer["added_tokens"]}
    known = {i: text for text, i in tokenizer["model"]["vocab"].items()} | special
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")  # the same pattern and byte-level alphabet
    writer.add_token_list([known.get(i, f"[unused{i}]") for i in range(size)])
    writer.add_token_types(
        [kinds.CONTROL if i in special else kinds.NORMAL if i in known else kinds.UNUSED for i in range(size)]
    )
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    ids = {text: i for i, text in known.items()}
    writer.add_eos_token_id(ids[config["eos_token"]])
    writer.add_pad_token_id(ids[config["pad_token"]])
    writer.add_add_bos_token(False)
    writer.add_chat_template((source / "chat_template.jinja").read_text())


def main() -> None:
    source = embedded.path("hf")
    target = source.parent / "gguf"
    target.mkdir(exist_ok=True)
    for name, kind in embedded.GGUF_FILES.items():
        write(source, target / name, gguf.GGMLQuantizationType[kind])
        print(target / name, (target / name).stat().st_size)


if __name__ == "__main__":
    main()

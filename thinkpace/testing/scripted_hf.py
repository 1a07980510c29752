"""The scripted model behind the real `generate` of transformers: same logits, the whole real loop around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.scripted import Model, WordVocabulary
from thinkpace.testing.cases import Case
from thinkpace.testing.vocabulary import VOCABULARY


class ScriptedHF(PreTrainedModel, GenerationMixin):
    """Logits from a function of (prompt, output so far); no cache.

    Args:
        model: the function.
        vocabulary: its ids; `width` may be larger, as in padded vocabularies.
        prompt_tokens: length of every prompt, padding excluded.
    """

    config_class = PretrainedConfig
    _supports_cache_class = False
    _is_stateful = True  # transformers then does not try to make a cache

    def __init__(self, model: Model, vocabulary: WordVocabulary, prompt_tokens: int, width: int = 0) -> None:
        config = PretrainedConfig()
        config.vocab_size, config.num_hidden_layers = width or vocabulary.size, 1
        super().__init__(config)
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.model = model
        self.vocabulary = vocabulary
        self.prompt_tokens = prompt_tokens
        self.width = width or vocabulary.size
        self.generation_config = GenerationConfig(
            eos_token_id=sorted(vocabulary.eos), pad_token_id=min(vocabulary.eos), use_cache=False
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> CausalLMOutput:
        logits = torch.full((*input_ids.shape, self.width), 20.0)  # ids beyond the vocabulary are the likeliest
        for row, ids in enumerate(input_ids.tolist()):
            pads = 0 if attention_mask is None else int((attention_mask[row] == 0).sum())
            for end in range(max(pads, pads + self.prompt_tokens - 1), len(ids)):
                tokens = ids[pads : end + 1]
                made = self.model(tokens[: self.prompt_tokens], tokens[self.prompt_tokens :])
                logits[row, end, : len(made)] = torch.as_tensor(made, dtype=torch.float32)
        return CausalLMOutput(logits=logits)  # type: ignore[arg-type]  # a float tensor is meant

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, *_: Any, **kwargs: Any) -> dict[str, Any]:
        return {"input_ids": input_ids, "attention_mask": kwargs.get("attention_mask")}

    def can_generate(self) -> bool:  # type: ignore[override]  # a class method there
        return True


class WordTokenizer:
    """A `WordVocabulary` that behaves as far like a tokenizer as thinkpace asks."""

    chat_template = None
    padding_side = "left"

    def __init__(self, vocabulary: WordVocabulary) -> None:
        self.vocabulary = vocabulary
        self.eos_token_id = min(vocabulary.eos)
        self.pad_token_id = self.eos_token_id
        self.all_special_ids = [self.eos_token_id]
        self.pieces = vocabulary.pieces

    def get_vocab(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary.words)}

    def __call__(self, text: str, add_special_tokens: bool = True) -> Any:
        return type("Encoding", (), {"input_ids": list(self.vocabulary.encode(text))})

    def decode(self, tokens: Sequence[int], **_: Any) -> str:
        return self.vocabulary.decode(tokens)


def hf_engine(case: Case) -> HFEngine:
    """The engine of a case; logits are wider than the vocabulary, as padded ones are."""
    fake = ScriptedHF(case.model, VOCABULARY, len(case.prompt_ids), width=VOCABULARY.size + 3)
    return HFEngine(fake, WordTokenizer(VOCABULARY), markers=case.markers)

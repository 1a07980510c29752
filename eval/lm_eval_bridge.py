"""A model for lm-evaluation-harness that thinks under controls, and records its traces and token counts.

    python -m thinkpace.eval.lm_eval_bridge run --model thinkpace --tasks gsm8k \\
        --model_args "model=path/or/name,control=ThinkBudget(512),traces=traces.jsonl"

The harness gets the answer part, cut at its stop strings; they do not apply to the thinking. Everything else goes to a
separate file, since the harness has no place for it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thinkpace.engine import Completion, Engine, Request, Sampling
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.eval import embedded
from thinkpace.eval.engines import engine_kind, open_engine
from thinkpace.eval.runs.unit import generated, sample_seed
from thinkpace.eval.sweeps.parse import HARNESS_NEW_TOKENS, controls_of, fit_new_tokens, markers_of

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ModuleNotFoundError as error:
    raise MissingExtra("the bridge to lm-evaluation-harness", "lm-eval") from error

_CHAT = "\0chat:"  # prefix of a conversation that the harness passes on as a text


@register_model("thinkpace")
class ThinkpaceLM(LM):  # type: ignore[misc]  # the harness has no types
    """A model of the harness.

    Args:
        model: a folder, a hub name, a .gguf file, or "embedded".
        engine: hf, llama.cpp or vllm; by default the one that fits the model's format.
        control: controls as text (their `repr`), joined by +; empty for none.
        traces: a file that gets one line per generation: task, document and its id, prompt, thinking, answer, tokens
            by kind and the actions of the controls.
        open, close: markers of thinking, if the chat template does not show them.
        parallel: sequences at once.
        seed: of all random numbers.
        runs: an open engine to use instead of `model`.

    Raises:
        ValueError: for an invalid argument.
    """

    def __init__(
        self,
        model: str = embedded.NAME,
        engine: str | None = None,
        control: str = "",
        traces: str | None = None,
        open: str | None = None,  # noqa: A002  # as on the command line
        close: str | None = None,
        parallel: int | None = None,
        seed: int = 0,
        runs: Engine | None = None,
        **_of_the_harness: Any,  # batch_size, device and others that the harness passes to every model
    ) -> None:
        super().__init__()
        self._controls = controls_of(control) if control else ()
        self._engine = runs or open_engine(model, engine_kind(engine, model), markers_of(open, close), parallel)
        self._traces = None if traces is None else Path(traces)
        self._seed = seed
        self._asked: Counter[str] = Counter()

    @property
    def tokenizer_name(self) -> str:
        """Identifies the model in the harness's request caches."""
        return f"{self._engine.name}-{self._engine.identity}"

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Encode a conversation as a text, which `generate_until` decodes."""
        return _CHAT + json.dumps(chat_history)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Generate the answers.

        Raises:
            RuntimeError: if a generation fails; the generations before it are in the file of traces.
        """
        prepared = [self._request(*request.args) for request in requests]
        out = list[str]()
        for request, asked, done in zip(prepared, requests, generated(self._engine, prepared), strict=True):
            context, settings = asked.args
            if isinstance(done, Exception):
                raise RuntimeError(f"a generation failed: {done}") from done
            self._keep(asked, context, request, done)
            answer = done.answer
            for stop in _stops(settings):
                answer = answer.partition(stop)[0]
            out.append(answer)
        return out

    def _request(self, context: str, settings: dict[str, Any]) -> Request:
        is_chat = context.startswith(_CHAT)
        messages = json.loads(context[len(_CHAT) :]) if is_chat else [{"role": "user", "content": context}]
        samples = settings.get("do_sample", settings.get("temperature", 0) > 0)
        sampling = Sampling(
            float(settings.get("temperature", 1.0)) if samples else 0.0,
            float(settings.get("top_p") or 1.0),
            int(settings.get("top_k") or 0),
        )
        seed = sample_seed(self._seed, context, self._asked[context])
        self._asked[context] += 1  # the harness repeats the request for every repetition
        prompt = self._engine.chat(messages)
        given = settings.get("max_gen_toks") or settings.get("max_new_tokens")
        limit = int(given) if given else fit_new_tokens(HARNESS_NEW_TOKENS, self._engine.context_tokens, len(prompt))
        return Request(prompt, self._controls, limit, sampling, seed)

    def _keep(self, asked: Any, context: str, request: Request, done: Completion) -> None:
        if self._traces is None:
            return
        row = {
            "task": asked.task_name,
            "doc_id": asked.doc_id,
            "doc": asked.doc,  # holds the target, as the task has it
            "prompt": context.removeprefix(_CHAT),
            "controls": [repr(control) for control in request.controls],
            "seed": request.seed,
            "thinking": done.thinking,
            "answer": done.answer,
            "finish_reason": done.finish_reason,
            "thinking_tokens": done.receipt.thinking_tokens,
            "usage": asdict(done.usage),
            "end": done.receipt.end,
            "events": [asdict(event) for event in done.receipt.events],
        }
        with self._traces.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Refused: a model that thinks first has no likelihood of an answer."""
        raise UnsupportedControl("tasks that compare likelihoods cannot be asked of a model that thinks first")

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Refused likewise."""
        return [pair[0] for pair in self.loglikelihood(requests)]


def _stops(settings: dict[str, Any]) -> list[str]:
    stops = settings.get("until") or []
    return [stops] if isinstance(stops, str) else list(stops)


def main() -> None:
    """Run the harness's command line with this model registered."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()

"""A provider for inspect-ai that thinks under controls, and a solver that sets them per task.

    inspect eval task.py --model thinkpace/embedded -M control="ThinkBudget(64)"

inspect finds it once both packages are installed. Its log has the reasoning, tokens by kind and the controls' actions.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import asdict

from thinkpace.engine import Completion, Request, Sampling
from thinkpace.errors import MissingExtra
from thinkpace.eval.engines import engine_kind, open_engine
from thinkpace.eval.sweeps.parse import HARNESS_NEW_TOKENS, controls_of, fit_new_tokens, markers_of
from thinkpace.processors.controls.think_budget import ThinkBudget
from thinkpace.processors.core.control import Control

try:
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessage,
        ChatMessageAssistant,
        ContentReasoning,
        ContentText,
        GenerateConfig,
        ModelAPI,
        ModelOutput,
        ModelUsage,
        modelapi,
    )
    from inspect_ai.solver import Generate, Solver, TaskState, solver
    from inspect_ai.tool import ToolChoice, ToolInfo
except ModuleNotFoundError as error:
    raise MissingExtra("the bridge to inspect-ai", "inspect-ai") from error


@modelapi(name="thinkpace")
class ThinkpaceAPI(ModelAPI):  # type: ignore[misc]  # not always installed, so mypy does not see it
    """A model of inspect-ai.

    `reasoning_tokens` of a task becomes a `ThinkBudget`, unless another control decides when thinking ends.

    Args:
        model_name: a folder, a hub name, a .gguf file, or "embedded".
        base_url, api_key: not used; inspect passes them to every provider.
        config: defaults of the task.
        control: controls as text (their `repr`), joined by +; empty for none.
        engine: hf, llama.cpp or vllm; by default the one that fits the model's format.
        open, close: markers of thinking, if the chat template does not show them.
        parallel: sequences at once.

    Raises:
        ValueError: for an invalid argument.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  # as its base class has it
        control: str = "",
        engine: str | None = None,
        open: str | None = None,  # noqa: A002  # as on the command line
        close: str | None = None,
        parallel: int | None = None,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        self._controls = controls_of(control) if control else ()
        self._engine = open_engine(model_name, engine_kind(engine, model_name), markers_of(open, close), parallel)
        self._engine_lock = asyncio.Lock()  # the engine is not safe for two threads

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002  # as its base class has it
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Generate one completion.

        Raises:
            ValueError: for what is not supported: tools, several choices, images.
        """
        if tools:
            raise ValueError("thinkpace calls no tools: leave them out of the task")
        if (config.num_choices or 1) > 1:
            raise ValueError("thinkpace makes one choice per call: use epochs for several")
        request = self._request(input, config)
        async with self._engine_lock:
            generate_one = functools.partial(self._engine.generate, [request])
            [done] = await asyncio.get_running_loop().run_in_executor(None, generate_one)
        return self._output(done, config.stop_seqs or ())

    def _request(self, messages: Sequence[ChatMessage], config: GenerateConfig) -> Request:
        conversation = [{"role": message.role, "content": _text(message)} for message in messages]
        temperature = 1.0 if config.temperature is None else config.temperature
        sampling = Sampling(temperature, config.top_p or 1.0, config.top_k or 0)
        prompt = self._engine.chat(conversation)
        limit = config.max_tokens or fit_new_tokens(HARNESS_NEW_TOKENS, self._engine.context_tokens, len(prompt))
        return Request(prompt, self._wanted(config), limit, sampling, config.seed or 0)

    def _wanted(self, config: GenerateConfig) -> tuple[Control, ...]:
        """The controls of one call: the solver's, else the model's, and a budget for `reasoning_tokens`."""
        controls_text = (config.extra_body or {}).get("controls")
        controls = controls_of(controls_text) if controls_text else self._controls
        if config.reasoning_tokens is None or any(control.decides_end for control in controls):
            return controls
        return (*controls, ThinkBudget(config.reasoning_tokens))

    def _output(self, done: Completion, stops: Sequence[str]) -> ModelOutput:
        answer, usage = done.answer, done.usage
        for stop in stops:
            answer = answer.partition(stop)[0]
        message = ChatMessageAssistant(
            content=[ContentReasoning(reasoning=done.thinking), ContentText(text=answer)],
            model=self.model_name,
            source="generate",
        )
        return ModelOutput(
            model=self.model_name,
            choices=[
                ChatCompletionChoice(
                    message=message, stop_reason="stop" if done.finish_reason == "stop" else "max_tokens"
                )
            ],
            usage=ModelUsage(
                input_tokens=usage.prompt,
                output_tokens=usage.completion,
                total_tokens=usage.prompt + usage.completion,
                reasoning_tokens=done.receipt.thinking_tokens,
            ),
            metadata={
                "armed": list(done.receipt.armed),
                "end": done.receipt.end,
                "usage": asdict(usage),
                "events": [asdict(event) for event in done.receipt.events],
            },
        )


def _text(message: ChatMessage) -> str:
    if not isinstance(message.content, str) and any(part.type not in ("text", "reasoning") for part in message.content):
        raise ValueError("thinkpace reads text alone: a message holds something else")
    return str(message.text)


@solver  # type: ignore[untyped-decorator]  # likewise
def controlled(controls: str) -> Solver:
    """A solver that generates under controls of its own instead of the model's.

    Args:
        controls: as text (their `repr`), joined by +.

    Raises:
        ValueError: for invalid controls.
    """
    controls_of(controls)  # invalid controls fail now, not at the first sample

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        return await generate(state, extra_body={"controls": controls})

    return solve

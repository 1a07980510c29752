"""Questions to a server of the embedded model, by the real client of OpenAI's protocol."""

from __future__ import annotations

from typing import Any

from thinkpace.eval.embedded import problems
from thinkpace.prompts import PROMPTS

QUESTIONS = [PROMPTS["step-by-step"].render(one.question) for one in problems.examples("chain", 64, seed=11)]
PLACES = 8  # sequences that the server runs at once


def ask(client: Any, messages: Any = QUESTIONS[0], **fields: Any) -> Any:
    known = ("max_tokens", "temperature", "n", "stop", "stream", "stream_options", "seed", "reasoning_effort", "model")
    plain = {name: fields.pop(name) for name in known if name in fields}
    given = {"model": "embedded", "temperature": 0, "max_tokens": 200, **plain}
    return client.chat.completions.create(messages=messages, **given, extra_body=fields)


def content_of(client: Any, messages: Any = QUESTIONS[0], **fields: Any) -> str:
    return str(ask(client, messages, **fields).choices[0].message.content)

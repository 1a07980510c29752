"""Run points: everything besides the question that decides a result. Results of equal points are of the same kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from thinkpace.engine import Sampling
from thinkpace.eval.runs.absent import read_control
from thinkpace.eval.runs.settings import Setting


@dataclass(frozen=True, slots=True)
class RunPoint:
    """One point of a sweep's grid.

    Args:
        task: name of the task.
        grader: how answers are compared.
        rules: where answers are looked for (`grading.rules.RULES`).
        engine: name of the engine.
        model: distinguishes models with the same name (`Engine.identity`).
        markers: of thinking, as a JSON object.
        prompt: name of the prompt.
        prompt_digest: distinguishes prompts with the same name.
        setting: the controls.
        sampling: how tokens are drawn.
        max_new_tokens: maximum output tokens.
        seed: that the samples' seeds derive from.
        replayed: whether settings share prefixes (`replay`).
    """

    task: str
    grader: str
    rules: tuple[str, ...]
    engine: str
    model: str
    markers: Mapping[str, Any]
    prompt: str
    prompt_digest: str
    setting: Setting
    sampling: Sampling
    max_new_tokens: int
    seed: int
    replayed: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` turns back into an equal point."""
        return {
            name: getattr(self, name)
            for name in ("task", "grader", "engine", "model", "prompt", "prompt_digest", "max_new_tokens", "seed")
        } | {
            "rules": list(self.rules),
            "markers": dict(self.markers),
            "controls": [control.to_json() for control in self.setting.controls],
            "sampling": asdict(self.sampling),
            "replayed": self.replayed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunPoint:
        """The point that `to_json` wrote."""
        rest = dict(data)
        controls = tuple(read_control(spec) for spec in rest.pop("controls"))
        sampling, rules = Sampling(**rest.pop("sampling")), tuple(rest.pop("rules"))
        return cls(**rest, setting=Setting(controls), sampling=sampling, rules=rules)

    @property
    def id(self) -> str:
        """A digest of all fields."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def variant(self) -> tuple[str, str, str]:
        """Engine, model and prompt: settings are compared only where these are equal."""
        return self.engine, self.model, self.prompt

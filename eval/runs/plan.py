"""Plans: what a sweep generates on one engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from thinkpace.engine import Engine, Sampling
from thinkpace.errors import suggestion
from thinkpace.eval.grading.extract import check_rules, rules_for
from thinkpace.eval.grading.grader import GRADER_NAMES
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.runs.settings import Setting
from thinkpace.eval.runs.unit import PointJob, WorkUnit, prompt_ids, unit_number
from thinkpace.eval.task import Example
from thinkpace.processors.spec import check_kept
from thinkpace.processors.text.markers import Markers
from thinkpace.prompts.base import Prompt

CHUNK = 64  # questions per work unit, which the journal writes in one transaction


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What planning needs to know about an engine, wherever it runs.

    Args:
        name, identity, markers, context_tokens: as in `Engine`.
        longest: tokens of the longest prompt.
    """

    name: str
    identity: str
    markers: Markers
    context_tokens: int | None
    longest: int

    @classmethod
    def of(cls, engine: Engine, prompts: Sequence[Prompt], examples: Sequence[Example]) -> EngineInfo:
        """Describe an engine that will get these questions in these prompts."""
        ids = [prompt_ids(engine, prompt, example.question) for prompt in prompts for example in examples]
        longest = max(map(len, ids), default=0)
        return cls(engine.name, engine.identity, engine.markers, engine.context_tokens, longest)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep generates on one engine. Two sweeps with equal plans give equal results.

    Args:
        task: its name, for the results.
        examples: the questions.
        settings: the grid.
        prompts: what the questions are put into; every prompt is combined with every setting.
        sampling: how tokens are drawn.
        samples: repetitions per question and setting, at least 1.
        max_new_tokens: maximum output tokens per sample.
        seed: of all random numbers. A sample's seed derives from it, the question and the repetition, not from the
            setting: settings are compared on the same questions with the same random numbers.
        grader: how answers are compared; one of `grading.grader.GRADER_NAMES`.
        replay: whether settings reuse the prefix that they share with the longest setting of their kind.
        rules: where answers are looked for, in order; names of `grading.rules.RULES`. Default: `rules_for("same")`.

    Raises:
        ValueError: for an empty or invalid field, or for two equal settings or prompts.
    """

    task: str
    examples: tuple[Example, ...]
    settings: tuple[Setting, ...]
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    samples: int
    max_new_tokens: int
    seed: int
    grader: str = "same"
    replay: bool = False
    rules: tuple[str, ...] = rules_for("same")

    def __post_init__(self) -> None:
        if not self.examples:
            raise ValueError("a sweep needs at least one question")
        if not self.settings:
            raise ValueError("a sweep needs at least one setting")
        if not self.prompts:
            raise ValueError("a sweep needs at least one prompt")
        if self.samples < 1:
            raise ValueError(f"samples must be >= 1, got {self.samples}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        if self.grader not in GRADER_NAMES:
            hint = suggestion(self.grader, GRADER_NAMES)
            raise ValueError(f"grader must be one of {', '.join(GRADER_NAMES)}, got {self.grader!r}{hint}")
        check_rules(self.rules)
        for setting in self.settings:
            for control in setting.controls:
                check_kept(control)
        names = [setting.name for setting in self.settings]
        if len(set(names)) < len(names):
            raise ValueError(
                "two settings of the sweep are the same: give every budget, number of waits and control once"
            )
        if len({prompt.name for prompt in self.prompts}) < len(self.prompts):
            raise ValueError("two prompts of the sweep are the same: give each once")

    @property
    def common(self) -> dict[str, object]:
        """What must stay the same when a run is extended, as a JSON object."""
        return {
            "task": self.task,
            "grader": self.grader,
            "rules": list(self.rules),
            "sampling": asdict(self.sampling),
            "max_new_tokens": self.max_new_tokens,
            "seed": self.seed,
            "replay": self.replay,
        }

    def point(self, prompt: Prompt, setting: Setting, card: EngineInfo) -> RunPoint:
        """The run point of a prompt and a setting on an engine."""
        return RunPoint(
            task=self.task,
            grader=self.grader,
            rules=self.rules,
            engine=card.name,
            model=card.identity,
            markers=card.markers.to_json(),
            prompt=prompt.name,
            prompt_digest=prompt.digest,
            setting=setting,
            sampling=self.sampling,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            replayed=self.replay,
        )

    def points(self, card: EngineInfo) -> list[RunPoint]:
        """All points of the grid, prompt by prompt."""
        return [self.point(prompt, setting, card) for prompt in self.prompts for setting in self.settings]

    def units(self, card: EngineInfo) -> Iterator[WorkUnit]:
        """All work units. A unit has one sample index only, so that samples can be added to a run later."""
        families = self._families() if self.replay else [(setting,) for setting in self.settings]
        for prompt in self.prompts:
            for family in families:
                jobs = tuple(PointJob(self.point(prompt, setting, card).id, setting) for setting in family)
                for sample in range(self.samples):
                    for start in range(0, len(self.examples), CHUNK):
                        examples = self.examples[start : start + CHUNK]
                        yield WorkUnit(
                            prompt=prompt,
                            jobs=jobs,
                            examples=examples,
                            sample=sample,
                            sampling=self.sampling,
                            max_new_tokens=self.max_new_tokens,
                            seed=self.seed,
                            rules=self.rules,
                            grader=self.grader,
                            replayed=self.replay,
                            number=unit_number(jobs, examples, sample),
                        )

    def _families(self) -> list[tuple[Setting, ...]]:
        """Groups of settings that share prefixes, the longest setting of each first.

        Settings of a group differ only in their limit and their waits. If the sampler filters tokens, they differ only
        in their limit, since the filter sees the probability that waits move.
        """
        families: dict[object, list[Setting]] = {}
        for setting in self.settings:
            kind = type(setting.budget).__name__
            families.setdefault((setting.others, kind, setting.waits if self.sampling.filters else 0), []).append(
                setting
            )

        def length(setting: Setting) -> tuple[int, float]:
            return setting.waits, float("inf") if setting.max_tokens is None else setting.max_tokens

        return [tuple(sorted(family, key=length, reverse=True)) for family in families.values()]

"""Model Runner V2 without a GPU: its own request states and contexts, and a runner that does with them what it does.

Drafts that are right and wrong, batches in any order and in chunks, prompts that are not through, slots that are used
again, sequences that come back, and ranks that see only their own requests: the tokens are those of the host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.strange import Strange, registered
from support.strategies import chains
from vllm import SamplingParams
from vllm.v1.worker.gpu.buffer_utils import StagedWriteTensor
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.states import RequestState

from thinkpace import (
    BudgetForcing,
    Control,
    DraftLimit,
    LoopBreaker,
    Markers,
    NoLegalToken,
    StepBudget,
    StructuredAnswer,
    ThinkBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
    UnsupportedControl,
)
from thinkpace.adapters.scripted import ScriptedEngine
from thinkpace.adapters.vllm.logits_processor import ThinkpaceLogitsProcessor
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import extra_args
from thinkpace.adapters.vllm.v2_group import Group
from thinkpace.engine import Request, Sampling
from thinkpace.testing import MARKERS, VOCABULARY
from thinkpace.testing.scripted_hf import WordTokenizer

WIDTH = VOCABULARY.size + 3
LONGEST = 128
EOS = min(VOCABULARY.eos)


def model(prompt: Sequence[int], output: Sequence[int]) -> list[float]:
    """Logits that depend on all tokens; markers and phrases are likely, ids that stand for nothing more so."""
    random = Random(repr((list(prompt), list(output))))
    row = [random.gauss(0, 1) for _ in range(WIDTH)]
    for word in ("</t>", "<t>", "Wait", "so", "a", "\n", "<"):
        row[VOCABULARY.encode(word)[0]] += 1.0
    row[EOS] -= 0.5
    return [*row[: VOCABULARY.size], *[9.0] * (WIDTH - VOCABULARY.size)]


def written(self: StagedWriteTensor) -> None:
    """What the runner's kernel does with staged writes."""
    flat, begin = self.gpu.view(-1), 0
    places = zip(self._staged_write_indices, self._staged_write_starts, self._staged_write_cu_lens, strict=True)
    for row, start, end in places:
        at = row * self.gpu.stride(0) + start
        flat[at : at + end - begin] = torch.tensor(self._staged_write_contents[begin:end], dtype=self.dtype)
        begin = end
    self.clear_staged_writes()


@pytest.fixture(autouse=True)
def on_the_host() -> Iterator[None]:
    """Staged writes without a kernel; and one random number for all, since a device has others than the host."""

    def half(seed: torch.Tensor, _position: Any, _purpose: int) -> torch.Tensor:
        return torch.full_like(seed, 0.5, dtype=torch.float64)

    with (
        mock.patch.object(StagedWriteTensor, "apply_write", written),
        mock.patch("vllm.v1.worker.gpu.buffer_utils.is_uva_available", return_value=False),
        mock.patch("thinkpace.adapters.vllm.v2_group.uniform", half),
        mock.patch("thinkpace.adapters.scripted.uniform", return_value=0.5),
        mock.patch("thinkpace.adapters.logits.attribution.uniform", return_value=0.5),
    ):
        yield


@dataclass
class Running:
    """A request in the runner."""

    name: str
    prompt: list[int]
    params: SamplingParams
    output: list[int] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return len(self.output) == self.params.max_tokens or self.output[-1:] == [EOS]


class Runner:
    """Runs requests over slots as the real one: states are vLLM's, sampling is greedy.

    Args:
        markers: of the model.
        slots: how many.
        drafts: at most per step; some are right.
        ranks: that requests are dealt to, by slot.
        random: decides all else.
    """

    def __init__(self, markers: Markers, slots: int, drafts: int, ranks: int, random: Random) -> None:
        self.random, self.drafts, self.ranks = random, drafts, ranks
        self.states = RequestState(slots, LONGEST, 64, drafts, WIDTH, torch.device("cpu"))
        shared = LogitsProcRequestState.from_request_state(self.states)
        config = SimpleNamespace(speculative_config=SimpleNamespace(num_speculative_tokens=drafts) if drafts else None)
        served = ServedModel(WordTokenizer(VOCABULARY), (), LONGEST, markers)
        with mock.patch.object(ServedModel, "of", return_value=served):
            self.processors = [ThinkpaceLogitsProcessor(config, shared) for _ in range(ranks)]
        self.running: dict[str, Running] = {}

    def run(self, requests: Sequence[Running]) -> None:
        waiting = list(requests)
        while waiting or self.running:
            while waiting and self.states.free_indices:
                self._come(waiting.pop(0))
            self.flush()
            self._step()
            for one in list(self.running.values()):
                # preempted, unless it is over; where ranks share the slots it could come back to another one's
                if one.over or (self.ranks == 1 and self.random.random() < 0.1):
                    del self.running[one.name]
                    self.states.remove_request(one.name)
                    waiting += [] if one.over else [one]

    def flush(self) -> None:
        self.states.apply_staged_writes()
        for processor in self.processors:
            processor.apply_staged_writes()

    def _come(self, one: Running) -> None:
        tokens = [*one.prompt, *one.output]
        assert one.params.max_tokens is not None
        self.states.add_request(one.name, len(one.prompt), tokens, 0, one.params.max_tokens)
        for processor in self.processors:
            processor.add_request(self.states.req_id_to_index[one.name], one.params)
        self.running[one.name] = one

    def _step(self) -> None:
        batch = list(self.running.values())
        self.random.shuffle(batch)
        for rank in range(self.ranks):
            own = [one for one in batch if self.states.req_id_to_index[one.name] % self.ranks == rank]
            cut = self.random.randint(0, len(own))
            if self.random.random() < 0.3:  # the prompts are not through: what comes of it is thrown away
                self._rows(self.processors[rank], own, committed=False)
            for chunk in (own[:cut], own[cut:]):
                self._rows(self.processors[rank], chunk, committed=True)

    def _rows(self, processor: ThinkpaceLogitsProcessor, chunk: list[Running], *, committed: bool) -> None:
        if not chunk:
            return
        slots = [self.states.req_id_to_index[one.name] for one in chunk]
        drafts = [self._drafts(one) if committed else [] for one in chunk]
        rows = [(i, k) for i, found in enumerate(drafts) for k in range(len(found) + 1)]
        fed = [([*chunk[i].prompt, *chunk[i].output][-1:] + drafts[i])[k] for i, k in rows]
        seen = [[*chunk[i].output, *drafts[i][:k]] for i, k in rows]
        logits = torch.tensor(
            [
                model(chunk[i].prompt, output) if committed else [1.0] * WIDTH
                for (i, _), output in zip(rows, seen, strict=True)
            ]
        )
        lengths = np.array([len(one.prompt) + len(one.output) for one in chunk], dtype=np.int32)
        context = LogitsContext(
            expanded_idx_mapping=torch.tensor([slots[i] for i, _ in rows], dtype=torch.int32),
            idx_mapping=torch.tensor(slots, dtype=torch.int32),
            idx_mapping_np=np.array(slots, dtype=np.int32),
            expanded_local_pos=torch.tensor([k for _, k in rows], dtype=torch.int32),
            input_ids=torch.tensor(fed, dtype=torch.int32),
            pos=torch.tensor([int(lengths[i]) - 1 + k for i, k in rows]),
            seq_lens_upper_bound_np=lengths,
        )
        likeliest = processor.apply(logits, context).argmax(1).tolist()
        if committed:
            for i, one in enumerate(chunk):
                own = [likeliest[row] for row, (of, _) in enumerate(rows) if of == i]
                self._commit(one, drafts[i], own)

    def _drafts(self, one: Running) -> list[int]:
        """Tokens that may come: some that the model would say, some that it would not."""
        found = list[int]()
        while len(found) < self.drafts and self.random.random() < 0.8:
            logits = model(one.prompt, [*one.output, *found])[: VOCABULARY.size]
            right = int(np.argmax(logits))
            found.append(right if self.random.random() < 0.7 else self.random.randrange(WIDTH))
        return found

    def _commit(self, one: Running, drafts: list[int], likeliest: list[int]) -> None:
        """Drafts are accepted as far as they are what is sampled; then one more token."""
        accepted = 0
        while accepted < len(drafts) and drafts[accepted] == likeliest[accepted]:
            accepted += 1
        for token in likeliest[: accepted + 1]:
            if not one.over:
                slot = self.states.req_id_to_index[one.name]
                self.states.all_token_ids.gpu[slot, len(one.prompt) + len(one.output)] = token
                one.output.append(token)
                self.states.total_len.gpu[slot] += 1


def expected(controls: tuple[Control, ...], markers: Markers, prompt: list[int], limit: int) -> list[int]:
    """What the host form generates."""
    engine = ScriptedEngine(model, VOCABULARY, markers, LONGEST)
    [done] = engine.generate([Request(tuple(prompt), controls, limit, Sampling(temperature=0))])
    return list(done.tokens)


def request(name: str, controls: tuple[Control, ...], prompt: list[int], limit: int) -> Running:
    arguments = extra_args(*controls)
    return Running(name, prompt, SamplingParams(temperature=0, max_tokens=limit, extra_args=arguments))


def compare(
    controls: Sequence[tuple[Control, ...]], markers: Markers, prompts: Sequence[list[int]], random: Random, **how: int
) -> None:
    limit = 30
    wanted = []
    for one, prompt in zip(controls, prompts, strict=True):
        wanted.append(expected(one, markers, prompt, limit))
    runner = Runner(markers, random=random, **how)
    requests = [
        request(str(i), one, prompt, limit) for i, (one, prompt) in enumerate(zip(controls, prompts, strict=True))
    ]
    runner.run(requests)
    assert [one.output for one in requests] == wanted


ONE = MARKERS[0]
PROMPT = [*VOCABULARY.encode("Q<t>")]
MIX: list[tuple[Control, ...]] = [
    (ThinkBudget(6, answer_reserve=2),),
    (BudgetForcing(12, waits=2, final=None, answer_reserve=2),),
    (BudgetForcing(9, 4, wait=None, final=None, answer_reserve=2),),
    (),
    (ThoughtBudget(1, ("so",)), ThinkBudget(12, answer_reserve=2)),
    (StructuredAnswer(choices=("7", "so")), ThinkBudget(4, answer_reserve=2)),
    (ThinkBudget(6, answer_reserve=2),),
    (BudgetForcing(12, waits=2, final=None, answer_reserve=2),),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("drafts", "ranks"), [(0, 1), (0, 2), (1, 1), (3, 1), (3, 2)])
def test_a_batch_is_what_the_host_makes_of_it(drafts: int, ranks: int, seed: int) -> None:
    prompts = [[*PROMPT, seed, i % 7] for i in range(len(MIX) - 1)]
    prompts.append([*PROMPT, WIDTH - 1])  # an id that the tokenizer does not have, which a client may send
    compare(MIX, ONE, prompts, Random(seed), slots=4, drafts=drafts, ranks=ranks)


def test_a_preempted_request_comes_back_as_itself() -> None:
    """With the same tokens, another one's limit was taken for its own."""
    controls = (ThinkBudget(answer_reserve=3),)
    runner = Runner(ONE, 2, 0, 1, Random(0))
    requests = [request("big", controls, PROMPT, 60), request("small", controls, PROMPT, 12)]
    for one in requests:
        runner._come(one)
    for order in (requests, requests[::-1]):
        runner.flush()
        runner._step()
        for one in requests:
            runner.states.remove_request(one.name)
        for one in order:
            runner._come(one)
    runner.flush()
    held = [next(iter(p._on_device._groups.values()))[1]._states for p in runner.processors if p._on_device]
    for one in requests:
        assert int(held[0].rows.track.max_new[runner.states.req_id_to_index[one.name]]) == one.params.max_tokens


@pytest.mark.parametrize(
    "control",
    [
        StepBudget(1 << 70),
        ThoughtBudget(1 << 70),
        ThoughtSwitchPenalty(beta=1 << 70),
        ThinkBudget(5, guard=1 << 70, answer_reserve=2),
        ThinkBudget(1 << 70, answer_reserve=2),
        BudgetForcing(waits=1 << 70, final=None, answer_reserve=2),
        DraftLimit(1 << 70),
        LoopBreaker(min_tokens=1 << 14, max_period=4),
    ],
    ids=str,
)
def test_numbers_that_no_count_reaches(control: Control) -> None:
    compare([(control,)], ONE, [PROMPT], Random(0), slots=1, drafts=1, ranks=1)


def test_what_is_too_large_for_a_device_ends_its_own_request() -> None:
    runner = Runner(ONE, 2, 0, 1, Random(0))
    requests = [request("0", (LoopBreaker(max_period=5000),), PROMPT, 30), request("1", MIX[0], PROMPT, 30)]
    runner.run(requests)
    assert requests[0].output == [EOS]
    assert requests[1].output == expected(MIX[0], ONE, PROMPT, 30)


def test_a_control_without_a_device_form_ends_its_own_request_before_the_first_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with registered():
        runner = Runner(ONE, 2, 0, 1, Random(0))
        requests = [request("0", (Strange(),), PROMPT, 30), request("1", MIX[0], PROMPT, 30)]
        runner.run(requests)
    assert requests[0].output == [EOS]
    assert requests[1].output == expected(MIX[0], ONE, PROMPT, 30)
    assert "StrangeMachine has no form for devices" in caplog.text


def test_an_error_on_the_way_ends_the_requests_it_is_about() -> None:
    runner = Runner(ONE, 2, 0, 1, Random(0))
    requests = [request("0", (StepBudget(3),), PROMPT, 30), request("1", MIX[0], PROMPT, 30)]
    real = Group._edited

    def failing(self: Group, *arguments: Any) -> Any:
        if "StepBudget" in self._program.armed[0]:
            raise RuntimeError("out of memory")
        return real(self, *arguments)

    with mock.patch.object(Group, "_edited", failing):
        runner.run(requests)
    assert requests[0].output == [EOS]
    assert requests[1].output == expected(MIX[0], ONE, PROMPT, 30)


@pytest.mark.timeout(900)
@given(
    st.lists(chains(), min_size=1, max_size=3),
    st.sampled_from(MARKERS),
    st.integers(0, 3),
    st.integers(1, 2),
    st.integers(0, 1 << 32),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_controls_on_any_batch(
    controls: list[tuple[Control, ...]], markers: Markers, drafts: int, ranks: int, seed: int
) -> None:
    random = Random(seed)
    prompts = [[*VOCABULARY.encode("Q" + markers.open), random.randrange(8)] for _ in controls]
    try:
        for one, prompt in zip(controls, prompts, strict=True):
            assume(not any("trial" in control.statistics for control in one))
            expected(one, markers, prompt, 30)
    except (UnsupportedControl, NoLegalToken):
        assume(False)
    compare(controls, markers, prompts, random, slots=2, drafts=drafts, ranks=ranks)

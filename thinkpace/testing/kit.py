"""`check_control`: everything that can be checked about a control without a real model."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from thinkpace.errors import NoLegalToken, UnsupportedControl
from thinkpace.processors import BudgetForcing, Control, Markers, Program, compile_program
from thinkpace.testing import laws
from thinkpace.testing.cases import Case, run_case
from thinkpace.testing.drive import STUBBORN, Wish
from thinkpace.testing.vocabulary import MARKERS, VOCABULARY

LIMIT = 40  # output tokens of a request
#: laws of a program along a stream of tokens
_LAWS: tuple[Callable[[Program, list[int], list[Wish]], None], ...] = (
    laws.replay_equals_stepping,
    laws.idling_equals_stepping,
    laws.kinds_add_up,
    laws.characters_are_finished,
    laws.a_pickled_program_goes_on_alike,
)


@dataclass(frozen=True)
class Checked:
    """What `check_control` checked."""

    streams: int  #: number of random token streams
    cases: int  #: number of cases, each run on every engine
    engines: tuple[str, ...]  #: engines on which the cases were run
    skipped: tuple[str, ...]  #: what could not be checked here, with the reason
    refused: tuple[str, ...]  #: markers that the control refuses, with its message


def stream(random: Random, markers: Markers, length: int) -> list[Wish]:
    """Random tokens that an engine would choose, with whole markers and phrases; a few appear whatever the edit is."""
    texts = (markers.open, markers.close, markers.close, "Wait", "\n\n", "waitso", "so?", " so a")
    chunks = [*map(VOCABULARY.encode, texts), *((token,) for token in range(VOCABULARY.size))]
    tokens = list[int]()
    while len(tokens) < length:
        tokens += random.choice(chunks)
    return [(token, random.choice([0, 1, 2, 3, 4] * 2 + [STUBBORN])) for token in tokens[:length]]


def check_control(control: Control, *cases: Case, streams: int = 60, seed: int = 0) -> Checked:
    """Check a control as our own are checked. Call it in a test.

    * It survives text, JSON and pickle, so that commands, journals, servers and workers can hold it.
    * Along random token streams, alone and beside a budget with waits, with awkward markers: replay equals stepping,
      idle tokens equal stepped ones, states are never changed, counts add up, no character is cut,
      some token is always possible.
    * Its device form, if it has one, equals the host form (needs torch).
    * Your cases hold on the scripted engine, and in the real `generate` of transformers where that is installed.

    Args:
        control: the control; call this for several settings of it.
        cases: generations worked out by hand; a case without controls gets this one.
        streams: number of random streams, at least 1.
        seed: seed of the streams.

    Returns:
        What was checked, and what could not be checked here.

    Raises:
        AssertionError: for a broken law, or a case with another outcome; the message says which.
        ValueError: if its text or JSON does not come back, say since no package registers it (docs/extending.md).
        UnsupportedControl: if it works with none of the markers.
    """
    if streams < 1:
        raise ValueError(f"streams must be >= 1, got {streams}")
    laws.text_and_back(control)
    random, skipped, refused = Random(seed), list[str](), list[str]()
    beside = (
        (control,)
        if control.decides_end
        else (control, BudgetForcing(12, waits=2, final=None, answer_reserve=0, approximate=True))
    )
    device = _device_reason()
    for markers in MARKERS:
        try:
            programs = [
                compile_program(controls, VOCABULARY, markers, max_new_tokens=LIMIT)
                for controls in dict.fromkeys(((control,), beside))
            ]
        except UnsupportedControl as error:
            refused.append(f"{markers.open} {markers.forced_close!r}: {error}")
            continue
        for _ in range(-(-streams // len(MARKERS))):
            prompt = [*VOCABULARY.encode("Q"), *random.choice([(), VOCABULARY.encode(markers.open)])]
            wishes = stream(random, markers, random.randint(0, 30))
            for program in programs:
                _check_laws(program, prompt, wishes, control if program is programs[0] else None)
        if device is None:
            device = _check_device(control, markers, random)
    if len(refused) == len(MARKERS):
        raise UnsupportedControl(f"{control!r} works with none of the markers: {refused[0]}")
    if device is not None:
        skipped.append(f"device form: {device}")
    return Checked(streams, len(cases), _check_cases(control, cases, skipped), tuple(skipped), tuple(refused))


def _check_laws(program: Program, prompt: list[int], wishes: list[Wish], alone: Control | None) -> None:
    try:
        program.start(prompt)
    except NoLegalToken:  # raised at the first token: nothing more to check
        return
    try:
        for law in _LAWS:
            law(program, prompt, wishes)
        if alone is not None:
            laws.declarations_hold(alone, program, prompt, wishes)
    except (AttributeError, TypeError) as error:  # say, a `decide` that returns None
        raise AssertionError(f"{' + '.join(program.armed)} fails along {wishes}: {error!r}") from error
    try:
        laws.a_token_is_always_legal(program, prompt, [token for token, _ in wishes])
    except NoLegalToken as error:
        raise AssertionError(f"no token is left along {wishes}: {error}") from None


def _device_reason() -> str | None:
    return None if importlib.util.find_spec("torch") is not None else "torch is not installed"


def _check_device(control: Control, markers: Markers, random: Random) -> str | None:
    """Compare the two forms; the reason where there is no device form."""
    from thinkpace.testing.device import Rows, check, compiled

    prompt = [*VOCABULARY.encode("Q" + markers.open)]
    streams = [stream(random, markers, random.randint(0, 24)) for _ in range(4)]
    rows = Rows((control,), markers, prompt, streams, LIMIT)
    try:
        program, form = compiled(rows)
    except UnsupportedControl as error:
        return str(error)
    check(rows, program, form)
    return None


def _check_cases(control: Control, cases: tuple[Case, ...], skipped: list[str]) -> tuple[str, ...]:
    engines = ["scripted"]
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        skipped.append("cases on Hugging Face: torch or transformers is not installed")
    else:
        engines.append("hf")
    for case in cases:
        case = case if case.controls else replace(case, controls=(control,))
        run_case(case)
        if "hf" in engines:
            from thinkpace.testing.scripted_hf import hf_engine

            run_case(case, hf_engine(case))
    return tuple(engines) if cases else ()

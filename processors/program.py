"""Programs: controls compiled for one request, and the state of one sequence under them.

The state is a pure function of (program, prompt, output tokens, what was drawn), never of how often anything was
called: engines replay, preempt, reorder beams, verify drafts and run rows whose token is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import (
    FOREVER,
    NO_TOKENS,
    NOTHING,
    Binding,
    Close,
    Control,
    Need,
    Numbers,
    Processor,
    Script,
)
from thinkpace.processors.chain import chain
from thinkpace.processors.closing import Closing
from thinkpace.processors.edit import KEEP, Edit, force
from thinkpace.processors.lexicon import lexicon
from thinkpace.processors.markers import Markers
from thinkpace.processors.match import START
from thinkpace.processors.phase import Track, Tracker
from thinkpace.processors.vocabulary import Vocabulary
from thinkpace.types import Event, Phase, Receipt, Usage


class State(NamedTuple):
    """One sequence under a program.

    Args:
        track: phase and counts.
        inner: the processor's own state.
        edit: what the next token is subject to.
        script: the phrase that is being written, if any.
        at: how much of it has been written.
        events: what fired so far.
        needs: numbers that are wanted before the next token is decided about; until then the decision is made without.
    """

    track: Track
    inner: Any
    edit: Edit = KEEP
    script: Script | None = None
    at: int = 0
    events: tuple[Event, ...] = ()
    needs: frozenset[Need] = NOTHING

    @property
    def pending(self) -> tuple[int, ...]:
        """The tokens that come next for certain; an engine may take them in one step."""
        return self.script.ids[self.at :] if self.script is not None else ()


@dataclass(frozen=True)
class Program:
    """Controls compiled for one vocabulary and one request limit. Pure and picklable. Made by `compile_program`.

    Args:
        processor: the chain of compiled controls.
        tracker: follows the markers.
        closing: how thinking is closed by force.
        size: ids from here on stand for nothing; adapters never allow them, however wide the logits are.
        unused: ids below `size` that stand for nothing; likewise.
        armed: the controls, as they print.
        ends_trials: ids that end a trial: of sequences and of lines.
    """

    processor: Processor[Any]
    tracker: Tracker
    closing: Closing
    size: int
    unused: frozenset[int]
    armed: tuple[str, ...]
    ends_trials: frozenset[int]

    def quiet(self, state: State) -> int:
        """How many tokens may pass that neither it nor the tracker heeds; `skip` makes up for them.

        The edit holds for all of them.
        """
        if state.script is not None or state.needs or state.track.cursor != START or state.edit.redraw:
            return 0
        return FOREVER if state.track.ended else self.processor.quiet(state.inner, state.track)

    def heeds(self, state: State) -> frozenset[int]:
        """The tokens that `quiet` leaves out, beside those that the tracker heeds: they must be stepped through."""
        return NO_TOKENS if state.track.ended else self.processor.heeds(state.inner, state.track)

    def skip(self, state: State, tokens: Sequence[int]) -> State:
        """The state after tokens that `quiet` let pass; equal to stepping through them."""
        if not tokens or state.track.ended:
            return state
        inner = self.processor.skip(state.inner, state.track, tokens)
        return State(self.tracker.passed(state.track, len(tokens)), inner, state.edit, events=state.events)

    def start(self, prompt: Sequence[int]) -> State:
        """The state after the prompt."""
        track = self.tracker.start(prompt)
        return self._decided(track, self.processor.init(track), ())

    def inform(self, state: State, numbers: Numbers) -> State:
        """The state with the numbers that it needed: the next token is decided about anew."""
        inner = self.processor.inform(state.inner, state.track, numbers)
        return self._decided(state.track, inner, state.events, informed=True)

    def step(self, state: State, token: int, drawn: int | None = None) -> State:
        """The state after one more token.

        Args:
            state: before it.
            token: the id that came.
            drawn: the id the model drew, where the edit replaced it or had it drawn again; None: the token itself.
        """
        if state.track.ended:
            return state
        if state.script is not None and token == state.script.ids[state.at]:
            return self._written(state, state.script, token)
        if state.script is not None:
            state = self._diverged(state, state.script, token)
        drawn = token if drawn is None else drawn
        before, after = state.track, self.tracker.drawn(state.track, token)
        events = state.events
        if drawn != token:
            what: Literal["redrew", "replaced"] = "redrew" if drawn in state.edit.redraw else "replaced"
            why = self.processor.explain(state.inner, before, token, drawn)
            events = (*events, Event(before.emitted, what, why, (drawn, token)))
            if what == "replaced" and before.phase is Phase.THINKING is after.phase:
                after = after._replace(thinking=after.thinking - 1, injected=after.injected + 1)
        if after.ended:  # nothing is decided any more
            return State(after, state.inner, events=events)
        return self._decided(after, self.processor.observe(state.inner, before, after, token, drawn), events)

    def _written(self, state: State, script: Script, token: int) -> State:
        before, at = state.track, state.at + 1
        done = at == len(script.ids)
        if script.closes:
            begun, replaced = (len(script.begun), script.replaced) if state.at == 0 else (0, 0)
            after = self.tracker.closing(before, token, begun=begun, replaced=replaced, done=done, forced=script.forced)
        else:
            after = self.tracker.drawn(before, token, written=True)
        events = state.events
        if state.at == 0:
            events = (*events, Event(before.emitted, "wrote", script.why, script.ids))
        inner = self.processor.observe(state.inner, before, after, token, -1)
        if done:
            return self._decided(after, inner, events)
        return State(after, inner, force(script.ids[at]), script, at, events)

    def _diverged(self, state: State, script: Script, token: int) -> State:
        track = self.tracker.abandoned(state.track)
        event = Event(track.emitted, "diverged", script.why, (script.ids[state.at], token))
        return state._replace(track=track, edit=KEEP, script=None, at=0, events=(*state.events, event))

    def _decided(self, track: Track, inner: Any, events: tuple[Event, ...], *, informed: bool = False) -> State:
        if track.ended:  # with the last token of a phrase
            return State(track, inner, events=events)
        needs = NOTHING if informed else self.processor.needs(inner, track)
        decision = self.processor.decide(inner, track)
        if isinstance(decision, Close):
            closes = track.phase is Phase.THINKING and self.closing.allowed(track)
            decision = self.closing.script(decision.why, track.cursor) if closes else decision.otherwise
        if isinstance(decision, Script):
            return State(track, inner, force(decision.ids[0]), decision, 0, events, needs)
        return State(track, inner, decision, None, 0, events, needs)

    def receipt(self, state: State, prompt_tokens: int, *, probe: int = 0, reread: int = 0) -> Receipt:
        """What the controls did to this sequence so far.

        Args:
            state: of the sequence.
            prompt_tokens: of its prompt.
            probe: tokens generated in trials.
            reread: tokens read again for them.
        """
        track = state.track
        end: Literal["natural", "forced", "open", "none"]
        if not track.opened:
            end = "none"
        elif track.phase in (Phase.THINKING, Phase.CLOSING):
            end = "open"
        else:
            end = "forced" if track.forced_end else "natural"
        forced = track.injected + track.closing
        usage = Usage(prompt_tokens, track.thinking, forced, track.marker, track.answer, probe, reread)
        return Receipt(self.armed, state.events, usage, track.spent, end, track.ended)


def compile_program(
    controls: Sequence[Control],
    vocabulary: Vocabulary,
    markers: Markers,
    *,
    max_new_tokens: int | None = None,
    context_tokens: int | None = None,
) -> Program:
    """Compile controls for a vocabulary.

    Args:
        controls: what to do; none at all gives a program that only keeps the books and bars unused ids.
        vocabulary: of the engine's tokenizer.
        markers: of the model's thinking.
        max_new_tokens: the request's own limit, inside which room for an answer is kept.
        context_tokens: how many tokens the model can hold, for controls that take a share of it.

    Raises:
        UnsupportedControl: if a control cannot work here, or two of them decide when thinking ends.
        TypeError: if something other than a control is given.
    """
    for control in controls:
        if not isinstance(control, Control):
            raise TypeError(f"expected a control such as ThinkBudget(max_tokens=512), got {control!r}")
    deciding = [control for control in controls if control.decides_end]
    if len(deciding) > 1:
        raise UnsupportedControl(
            f"only one control can decide when thinking ends, got {' and '.join(map(repr, deciding))}: merge them"
        )
    answers = [control for control in controls if control.rules_answer]
    if len(answers) > 1:
        raise UnsupportedControl(f"only one control can constrain the answer, got {' and '.join(map(repr, answers))}")
    if max_new_tokens is not None and (not isinstance(max_new_tokens, int) or max_new_tokens < 1):
        raise ValueError(f"max_new_tokens must be a whole number >= 1, got {max_new_tokens!r}")
    binding = Binding(vocabulary, markers.bind(vocabulary), max_new_tokens, context_tokens)
    # what decides the end comes last: what it moves onto "Wait" is not touched by a ban of waits
    ordered = sorted(controls, key=lambda control: control.decides_end)
    processors = [control.compile(binding) for control in ordered]
    known = lexicon(vocabulary)
    return Program(
        chain(*processors, names=tuple(repr(control) for control in ordered)),
        Tracker(binding.markers, vocabulary.eos, known.partial),
        next((found for control in deciding if (found := control.closing(binding))), None) or Closing(binding),
        vocabulary.size,
        vocabulary.unused,
        tuple(repr(control) for control in controls),
        vocabulary.eos | known.line_ends,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What a state depends on beside its tokens.

    Args:
        drawn: output index -> the id that the model drew there, where it was another one than came.
        numbers: output index -> the numbers known of the row that this token was drawn from.
    """

    drawn: Mapping[int, int] = field(default_factory=dict)
    numbers: Mapping[int, Numbers] = field(default_factory=dict)


def states(program: Program, prompt: Sequence[int], tokens: Sequence[int], told: Told | None = None) -> Iterator[State]:
    """The states before the first token, and after each one."""
    told = told or Told()
    state = program.start(prompt)
    for i, token in enumerate(tokens):
        if i in told.numbers:
            state = program.inform(state, told.numbers[i])
        yield state
        state = program.step(state, token, told.drawn.get(i))
    yield program.inform(state, told.numbers[len(tokens)]) if len(tokens) in told.numbers else state


def replay(program: Program, prompt: Sequence[int], tokens: Sequence[int], told: Told | None = None) -> State:
    """The state after `tokens`, from nothing: equal to stepping through them.

    Args:
        program: what was compiled.
        prompt: ids of the prompt.
        tokens: ids of the output.
        told: what was drawn, and the numbers that were wanted.
    """
    *_, last = states(program, prompt, tokens, told)
    return last


Kind = Literal["thinking", "injected", "closing", "marker", "answer"]


def kinds(program: Program, prompt: Sequence[int], tokens: Sequence[int], told: Told | None = None) -> tuple[Kind, ...]:
    """The kind of every output token, in agreement with the counts of the receipt.

    "injected" and "closing" are the forced ones: written into thinking, and to end it or after it.
    """
    found = Kinds(program, prompt)
    found.follow(tokens, told or Told())
    return tuple(found.found)


class Kinds:
    """The kinds of tokens while they come: see `kinds`.

    Args:
        program: that the sequence is under.
        prompt: its ids.
    """

    def __init__(self, program: Program, prompt: Sequence[int]) -> None:
        self._program = program
        self._state = program.start(prompt)
        self.found: list[Kind] = []  #: of the tokens so far

    @property
    def settled(self) -> int:
        """How many of them stay what they are: those of a marker that has been begun may not."""
        track = self._state.track
        watch = self._program.tracker.closes if track.phase is Phase.THINKING else self._program.tracker.opens
        return max(0, len(self.found) - len(watch.begun(track.cursor)))

    @property
    def answer_from(self) -> int:
        """Where the answer begins, as far as is known; -1 while there is none."""
        return self._state.track.answer_from

    def follow(self, tokens: Sequence[int], told: Told) -> None:
        """Take the tokens that are new.

        Args:
            tokens: all of the output so far.
            told: what was drawn, and the numbers that were wanted.
        """
        for i in range(len(self.found), len(tokens)):
            before = self._state
            if i in told.numbers:
                before = self._program.inform(before, told.numbers[i])
            self._state = self._program.step(before, tokens[i], told.drawn.get(i))
            self._add(before.track, self._state.track)

    def _add(self, before: Track, after: Track) -> None:
        out = self.found
        written = after.closing > before.closing
        found = after.marker - before.marker - (not written)
        replaced = before.injected - after.injected  # tokens of a begun close that had come in place of others
        if replaced > 0:
            out[len(out) - replaced :] = ["closing"] * replaced
        if found >= 0 and after.marker > before.marker:  # tokens that had begun a marker turn out to be part of it
            end = len(out) - max(0, replaced)
            out[end - found : end] = ["marker"] * found
        if written:
            out.append("closing")
        elif after.marker > before.marker:
            out.append("marker")
        elif after.injected > before.injected:
            out.append("injected")
        elif after.thinking > before.thinking:
            out.append("thinking")
        else:
            out.append("answer")

"""Programs: controls compiled for one request, and the state of one sequence under them.

The state is a pure function of (program, prompt, output tokens, what was drawn), never of how often anything was
called: engines replay, preempt, reorder beams, verify drafts and run rows whose token is thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import Binding, Control, Processor, Script
from thinkpace.processors.chain import chain
from thinkpace.processors.edit import KEEP, Edit, force
from thinkpace.processors.markers import Markers
from thinkpace.processors.phase import Track, Tracker
from thinkpace.processors.vocabulary import Vocabulary
from thinkpace.types import Event, Phase, Receipt, Usage


@dataclass(frozen=True, slots=True)
class State:
    """One sequence under a program.

    Args:
        track: phase and counts.
        inner: the processor's own state.
        edit: what the next token is subject to.
        script: the phrase that is being written, if any.
        at: how much of it has been written.
        events: what fired so far.
    """

    track: Track
    inner: Any
    edit: Edit = KEEP
    script: Script | None = None
    at: int = 0
    events: tuple[Event, ...] = ()

    @property
    def pending(self) -> tuple[int, ...]:
        """The tokens that come next for certain; an engine may take them in one step."""
        return self.script.ids[self.at :] if self.script is not None else ()


@dataclass(frozen=True, slots=True)
class Program:
    """Controls compiled for one vocabulary and one request limit. Pure and picklable. Made by `compile_program`.

    Args:
        processor: the chain of compiled controls.
        tracker: follows the markers.
        size: ids from here on stand for nothing; adapters never allow them, however wide the logits are.
        unused: ids below `size` that stand for nothing; likewise.
        armed: the controls, as they print.
    """

    processor: Processor[Any]
    tracker: Tracker
    size: int
    unused: frozenset[int]
    armed: tuple[str, ...]

    def start(self, prompt: Sequence[int]) -> State:
        """The state after the prompt."""
        track = self.tracker.start(prompt)
        return self._decided(State(track, self.processor.init(track)))

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
                after = replace(after, thinking=after.thinking - 1, injected=after.injected + 1)
        inner = self.processor.observe(state.inner, before, after, token, drawn)
        return self._decided(State(after, inner, events=events))

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
            return self._decided(State(after, inner, events=events))
        return State(after, inner, force(script.ids[at]), script, at, events)

    def _diverged(self, state: State, script: Script, token: int) -> State:
        track = self.tracker.abandoned(state.track)
        event = Event(track.emitted, "diverged", script.why, (script.ids[state.at], token))
        return replace(state, track=track, edit=KEEP, script=None, at=0, events=(*state.events, event))

    def _decided(self, state: State) -> State:
        if state.track.ended:
            return replace(state, edit=KEEP)
        decision = self.processor.decide(state.inner, state.track)
        if isinstance(decision, Script):
            return replace(state, script=decision, edit=force(decision.ids[0]))
        return replace(state, edit=decision)

    def receipt(self, state: State, prompt_tokens: int) -> Receipt:
        """What the controls did to this sequence so far."""
        track = state.track
        end: Literal["natural", "forced", "open", "none"]
        if not track.opened:
            end = "none"
        elif track.phase in (Phase.THINKING, Phase.CLOSING):
            end = "open"
        else:
            end = "forced" if track.forced_end else "natural"
        usage = Usage(prompt_tokens, track.thinking, track.injected + track.closing, track.marker, track.answer)
        return Receipt(self.armed, state.events, usage, track.spent, end, track.ended)


def compile_program(
    controls: Sequence[Control], vocabulary: Vocabulary, markers: Markers, *, max_new_tokens: int | None = None
) -> Program:
    """Compile controls for a vocabulary.

    Args:
        controls: what to do; none at all gives a program that only keeps the books and bars unused ids.
        vocabulary: of the engine's tokenizer.
        markers: of the model's thinking.
        max_new_tokens: the request's own limit, inside which room for an answer is kept.

    Raises:
        UnsupportedControl: if a control cannot work here, or two of them decide when thinking ends.
        TypeError: if something other than a control is given.
    """
    for control in controls:
        if not isinstance(control, Control):
            raise TypeError(f"expected a control such as ThinkBudget(max_tokens=512), got {control!r}")
    deciding = [repr(control) for control in controls if control.decides_end]
    if len(deciding) > 1:
        raise UnsupportedControl(
            f"only one control can decide when thinking ends, got {' and '.join(deciding)}: merge them"
        )
    if max_new_tokens is not None and (not isinstance(max_new_tokens, int) or max_new_tokens < 1):
        raise ValueError(f"max_new_tokens must be a whole number >= 1, got {max_new_tokens!r}")
    binding = Binding(vocabulary, markers.bind(vocabulary), max_new_tokens)
    names = tuple(repr(control) for control in controls)
    return Program(
        chain(*(control.compile(binding) for control in controls), names=names),
        Tracker(binding.markers, vocabulary.eos),
        vocabulary.size,
        vocabulary.unused,
        names,
    )


def replay(
    program: Program, prompt: Sequence[int], tokens: Sequence[int], drawn: Mapping[int, int] | None = None
) -> State:
    """The state after `tokens`, from nothing: equal to stepping through them.

    Args:
        program: what was compiled.
        prompt: ids of the prompt.
        tokens: ids of the output.
        drawn: index into `tokens` -> the id that was drawn there, where it was another one.
    """
    state = program.start(prompt)
    for i, token in enumerate(tokens):
        state = program.step(state, token, (drawn or {}).get(i))
    return state


Kind = Literal["thinking", "injected", "closing", "marker", "answer"]


def kinds(
    program: Program, prompt: Sequence[int], tokens: Sequence[int], drawn: Mapping[int, int] | None = None
) -> tuple[Kind, ...]:
    """The kind of every output token, in agreement with the counts of the receipt.

    "injected" and "closing" are the forced ones: written into thinking, and to end it or after it.
    """
    out: list[Kind] = []
    state = program.start(prompt)
    for i, token in enumerate(tokens):
        before = state.track
        state = program.step(state, token, (drawn or {}).get(i))
        after = state.track
        written = after.closing > before.closing
        found = after.marker - before.marker - (not written)
        if found >= 0 and after.marker > before.marker:  # tokens that had begun a marker turn out to be part of it
            out[len(out) - found :] = ["marker"] * found
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
    return tuple(out)

"""Programs: controls compiled for one request, and the state of one sequence under them.

The state is a pure function of (program, prompt, output tokens, what was drawn), never of how often anything was
called: engines replay, preempt, reorder beams, verify drafts and run rows whose token is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.chain import chain
from thinkpace.processors.core.closing import ClosingSequence
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER, NO_TOKENS, NOTHING, Close, RowStatistic, Script, Statistics
from thinkpace.processors.core.edit import KEEP, Edit, force
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track, Tracker
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import Vocabulary
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
    wants: frozenset[RowStatistic] = NOTHING

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
    closing: ClosingSequence
    size: int
    unused: frozenset[int]
    armed: tuple[str, ...]
    ends_trials: frozenset[int]

    def idle_tokens(self, state: State) -> int:
        """How many tokens may pass that neither it nor the tracker heeds; `skip` makes up for them.

        The edit holds for all of them.
        """
        if state.script is not None or state.wants or state.track.cursor != START or state.edit.redraw:
            return 0
        return FOREVER if state.track.ended else self.processor.idle_tokens(state.inner, state.track)

    def wake_tokens(self, state: State) -> frozenset[int]:
        """Tokens that must be stepped even while idle, beside the tracker's own."""
        return NO_TOKENS if state.track.ended else self.processor.wake_tokens(state.inner, state.track)

    def skip(self, state: State, tokens: Sequence[int]) -> State:
        """The state after tokens that `idle_tokens` let pass; equal to stepping through them."""
        if not tokens or state.track.ended:
            return state
        inner = self.processor.skip(state.inner, state.track, tokens)
        return State(self.tracker.after_idle(state.track, len(tokens)), inner, state.edit, events=state.events)

    def start(self, prompt: Sequence[int]) -> State:
        """The state after the prompt."""
        track = self.tracker.start(prompt)
        return self._decided(track, self.processor.init(track), ())

    def receive(self, state: State, statistics: Statistics) -> State:
        """The state with the numbers that it needed: the next token is decided about anew."""
        inner = self.processor.receive(state.inner, state.track, statistics)
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
        before, after = state.track, self.tracker.after_token(state.track, token)
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
        if script.ends_thinking:
            begun, replaced = (len(script.typed_marker), script.replaced) if state.at == 0 else (0, 0)
            after = self.tracker.after_close_token(
                before, token, begun=begun, replaced=replaced, done=done, forced=script.forced
            )
        else:
            after = self.tracker.after_token(before, token, written=True)
        events = state.events
        if state.at == 0:
            events = (*events, Event(before.emitted, "wrote", script.why, script.ids))
        inner = self.processor.observe(state.inner, before, after, token, -1)
        if done:
            return self._decided(after, inner, events)
        return State(after, inner, force(script.ids[at]), script, at, events)

    def _diverged(self, state: State, script: Script, token: int) -> State:
        track = self.tracker.after_divergence(state.track)
        event = Event(track.emitted, "diverged", script.why, (script.ids[state.at], token))
        return state._replace(track=track, edit=KEEP, script=None, at=0, events=(*state.events, event))

    def _decided(self, track: Track, inner: Any, events: tuple[Event, ...], *, informed: bool = False) -> State:
        if track.ended:  # with the last token of a phrase
            return State(track, inner, events=events)
        wants = NOTHING if informed else self.processor.wants(inner, track)
        decision = self.processor.decide(inner, track)
        if isinstance(decision, Close):
            closes = track.phase is Phase.THINKING and self.closing.allowed(track)
            decision = self.closing.script(decision.why, track.cursor) if closes else decision.otherwise
        if isinstance(decision, Script):
            return State(track, inner, force(decision.ids[0]), decision, 0, events, wants)
        return State(track, inner, decision, None, 0, events, wants)

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
        usage = Usage(
            prompt=prompt_tokens,
            thinking=track.thinking,
            forced=forced,
            marker=track.marker,
            answer=track.answer,
            probe=probe,
            reread=reread,
        )
        return Receipt(
            armed=self.armed,
            events=state.events,
            usage=usage,
            thinking_tokens=track.spent,
            end=end,
            finished=track.ended,
        )


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
        processor=chain(*processors, names=tuple(repr(control) for control in ordered)),
        tracker=Tracker(binding.markers, vocabulary.eos, known.partial),
        closing=next((found for control in deciding if (found := control.closing(binding))), None)
        or ClosingSequence(binding),
        size=vocabulary.size,
        unused=vocabulary.unused,
        armed=tuple(repr(control) for control in controls),
        ends_trials=vocabulary.eos | known.line_ends,
    )

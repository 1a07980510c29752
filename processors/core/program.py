"""Programs: controls compiled for one request, and the state of one sequence under them.

The state is a pure function of (program, prompt, output tokens, draw history), and never depends on how often a method
was called: engines replay, preempt, reorder beams, verify drafts and compute rows whose token is discarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.chain import Chain, chain
from thinkpace.processors.core.closing import ClosingSequence
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import (
    END_OF_SEQUENCE,
    FOREVER,
    NO_TOKENS,
    NOTHING,
    Close,
    RowStatistic,
    Script,
    Statistics,
    TakeBack,
)
from thinkpace.processors.core.edit import KEEP, Edit, force
from thinkpace.processors.core.processor import PROMPT_END, Processor
from thinkpace.processors.core.tracker import Track, Tracker
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary
from thinkpace.types import End, Event, Phase, Receipt, Usage

MOST_CONTROLS = 64  # of one sequence


class State(NamedTuple):
    """State of one sequence under a program.

    Args:
        track: phase and counts.
        inner: the processor's state.
        edit: the edit that applies to the next token.
        script: the phrase that is being written, if any.
        at: number of its tokens that have been written.
        events: the events so far.
        wants: row statistics needed for the next token; until `receive`, `edit` is the decision without them.
        take_back: the marker at the end of the output that the engine must take back before it goes on; None for none.
    """

    track: Track
    inner: Any
    edit: Edit = KEEP
    script: Script | None = None
    at: int = 0
    events: tuple[Event, ...] = ()
    wants: frozenset[RowStatistic] = NOTHING
    take_back: TakeBack | None = None

    @property
    def pending(self) -> tuple[int, ...]:
        """The tokens that are certain to come next; an engine may append them in one step."""
        return self.script.ids[self.at :] if self.script is not None else ()


@dataclass(frozen=True)
class Program:
    """Controls compiled for one vocabulary and one request limit. Pure and picklable. Built by `compile_program`.

    Args:
        processor: the chain of compiled controls.
        tracker: the tracker of the markers.
        closing: the closing sequence.
        size: ids from here on stand for no token; adapters never allow them, however wide the logits are.
        unused: ids below `size` that stand for no token; never allowed either.
        armed: the controls, as they print.
        on_thinking, on_answer: those of them that act on thinking only, and on the answer only.
        ends_trials: ids that end a trial: end-of-sequence ids and ids that hold a line break.
        takes_back: closing markers that may have to be taken back; empty where the engine cannot.
    """

    processor: Chain
    tracker: Tracker
    closing: ClosingSequence
    size: int
    unused: frozenset[int]
    armed: tuple[str, ...]
    on_thinking: tuple[str, ...]
    on_answer: tuple[str, ...]
    ends_trials: frozenset[int]
    takes_back: frozenset[TokenIds]

    def idle_tokens(self, state: State) -> int:
        """How many more tokens leave the edit unchanged, wake tokens (also the tracker's) excepted.

        `skip` applies them later in one call.
        """
        if state.script is not None or state.wants or state.edit.redraw:
            return 0
        if not state.track.ended and not self.tracker.may_idle(state.track):
            return 0
        return FOREVER if state.track.ended else self.processor.idle_tokens(state.inner, state.track)

    def wake_tokens(self, state: State) -> frozenset[int]:
        """Tokens that must be stepped even while idle, in addition to the tracker's wake tokens."""
        return NO_TOKENS if state.track.ended else self.processor.wake_tokens(state.inner, state.track)

    def skip(self, state: State, tokens: Sequence[int]) -> State:
        """The state after idle tokens; equal to stepping through them. See `idle_tokens`."""
        if not tokens or state.track.ended:
            return state
        inner = self.processor.skip(state.inner, state.track, tokens)
        return State(self.tracker.after_idle(state.track, len(tokens)), inner, state.edit, events=state.events)

    def start(self, prompt: Sequence[int]) -> State:
        """The state after the prompt."""
        track = self.tracker.start(prompt)
        inner = self.processor.read(self.processor.init(track), prompt[-PROMPT_END:])
        return self._decided(track, inner, ())

    def receive(self, state: State, statistics: Statistics) -> State:
        """The state after the row statistics that it needed; the next token is decided again."""
        inner = self.processor.receive(state.inner, state.track, statistics)
        return self._decided(state.track, inner, state.events, informed=True)

    def taken_back(self, state: State, ids: TokenIds, why: str) -> State:
        """The state after a closing marker was taken back.

        Args:
            state: the state before the marker.
            ids: the marker's tokens.
            why: the reason.
        """
        inner = self.processor.taken_back(state.inner, state.track, ids)
        events = (*state.events, Event(state.track.emitted, "took back", why, ids))
        return self._decided(state.track, inner, events)

    def step(self, state: State, token: int, drawn: int | None = None) -> State:
        """The state after one more token.

        Args:
            state: the state before the token.
            token: the id that was appended.
            drawn: the id that the model drew, if the edit replaced or redrew it; None: the token itself.
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
        if after.ended:  # the sequence has ended: no more decisions
            return State(after, state.inner, events=events)
        return self._decided(after, self.processor.observe(state.inner, before, after, token, drawn), events)

    def _written(self, state: State, script: Script, token: int) -> State:
        before, at = state.track, state.at + 1
        done = at == len(script.ids)
        if script.ends_thinking:
            typed, replaced = (len(script.typed_marker), script.replaced) if state.at == 0 else (0, 0)
            after = self.tracker.after_close_token(
                before, token, typed=typed, replaced=replaced, done=done, forced=script.forced
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
        if track.ended:  # by the last token of a phrase
            return State(track, inner, events=events)
        wants = NOTHING if informed else self.processor.wants(inner, track)
        decision = self.processor.decide(inner, track)
        if isinstance(decision, TakeBack):
            return State(track, inner, KEEP, None, 0, events, take_back=decision)
        if isinstance(decision, Close):
            closes = track.phase is Phase.THINKING and (decision.script is not None or self.closing.allowed(track))
            held = self.processor.hold(inner, track) if closes else None
            if held is not None and held != inner:
                events = (*events, Event(track.emitted, "held", decision.why, ()))
            inner = inner if held is None else held
            script = decision.script or self.closing.script(decision.why, track.cursor)
            decision = script if closes and held is None else decision.otherwise
        if isinstance(decision, Script):
            return State(track, inner, force(decision.ids[0]), decision, 0, events, wants)
        return State(track, inner, decision, None, 0, events, wants)

    def receipt(
        self, state: State, prompt_tokens: int, tokens: Sequence[int] = (), *, probe: int = 0, reread: int = 0
    ) -> Receipt:
        """What the controls did to this sequence so far.

        Args:
            state: the state of the sequence.
            prompt_tokens: number of tokens of its prompt.
            tokens: its output, in which a close without an opening is looked for.
            probe: tokens generated in trials.
            reread: tokens read again for trials.
        """
        track = state.track
        end: End
        if not track.opened:
            end = "none"
        elif track.phase in (Phase.THINKING, Phase.CLOSING):
            end = "open"
        elif track.forced_end:
            end = "forced"
        else:
            end = "eos" if any(_closed_by_eos(event, track) for event in state.events) else "natural"
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
            thinking_tokens=track.thinking_spent,
            end=end,
            finished=track.ended,
            notes=tuple(self._notes(state, tokens)),
        )

    def _notes(self, state: State, tokens: Sequence[int]) -> Iterator[str]:
        """What could not act, and what was asked for and is not so."""
        track = state.track
        if self.on_answer and track.phase is not Phase.ANSWER:
            yield f"no answer came: {' + '.join(self.on_answer)} had nothing to act on"
        elif unmet := self.processor.unmet(state.inner, track):
            yield unmet
        if track.opened:
            return
        if self.on_thinking:
            yield f"thinking was never opened: {' + '.join(self.on_thinking)} had nothing to act on"
        cursor, matcher = START, self.tracker.close_matcher
        for token in tokens:
            cursor = matcher.step(cursor, token)
            if matcher.found(cursor) is not None:
                yield "the closing marker came though thinking had not been opened: what stands before it is answer"
                return


def _closed_by_eos(event: Event, track: Track) -> bool:
    """Whether this event wrote the last close, in place of an end of the sequence."""
    written = 1 if event.what == "replaced" else len(event.tokens)
    return event.why == END_OF_SEQUENCE and event.at + written == track.answer_from


def _on_thinking(control: Control) -> bool:
    """Whether a control acts on thinking only, and was asked for something."""
    return control.asks_something and (control.decides_end or "answer" not in control.phases)


def compile_program(
    controls: Sequence[Control],
    vocabulary: Vocabulary,
    markers: Markers,
    *,
    max_new_tokens: int | None = None,
    context_tokens: int | None = None,
    takes_back: bool = False,
) -> Program:
    """Compile controls for a vocabulary.

    Args:
        controls: the controls; with none, the program only counts tokens and bans unused ids.
        vocabulary: the vocabulary of the engine's tokenizer.
        markers: the model's thinking markers.
        max_new_tokens: the request's limit on output tokens, inside which room for an answer is reserved.
        context_tokens: how many tokens the model can hold, for controls that use a share of it.
        takes_back: whether the engine can take back tokens that it has generated (`State.take_back`).

    Raises:
        UnsupportedControl: if a control cannot work here, two of them decide when thinking ends, or there are more than
            `MOST_CONTROLS`.
        ValueError: if `max_new_tokens` is not a whole number of at least 1.
        TypeError: if something other than a control is given.
    """
    for control in controls:
        if not isinstance(control, Control):
            raise TypeError(f"expected a control such as ThinkBudget(max_tokens=512), got {control!r}")
    if len(controls) > MOST_CONTROLS:
        raise UnsupportedControl(f"{len(controls)} controls are more than the {MOST_CONTROLS} that a sequence may have")
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
    binding = Binding(vocabulary, markers.bind(vocabulary), max_new_tokens, context_tokens, takes_back)
    # a control that decides the end comes last, so that a ban of "Wait" leaves alone what it moves onto "Wait"
    ordered = sorted(controls, key=lambda control: control.decides_end)
    processors = [control.compile(binding) for control in ordered]
    for control, processor in zip(ordered, processors, strict=True):
        if not isinstance(processor, Processor):
            raise TypeError(f"{type(control).__name__}.compile must return a Processor, got {processor!r}")
    names = [repr(control) for control in ordered]
    if not deciding and (ending := next((e for c in ordered if (e := c.ending(binding)) is not None), None)):
        processors.append(ending)
        names.append("the end of the sequence as a close")
    pieces = lexicon(vocabulary)
    return Program(
        processor=chain(*processors, names=tuple(names)),
        tracker=Tracker(binding.markers, vocabulary),
        closing=next((sequence for control in deciding if (sequence := control.closing(binding))), None)
        or ClosingSequence(binding),
        size=vocabulary.size,
        unused=vocabulary.unused,
        armed=tuple(repr(control) for control in controls),
        on_thinking=tuple(repr(control) for control in controls if _on_thinking(control)),
        on_answer=tuple(repr(control) for control in controls if control.phases == ("answer",)),
        ends_trials=vocabulary.eos | pieces.line_ends,
        takes_back=binding.markers.plain_closes if takes_back else frozenset(),
    )

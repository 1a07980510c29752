"""s1's budget forcing as its authors run it: stop, append, prompt again. The reference that one pass is held against.

Works on token ids: no text is re-tokenised between the rounds. The loop yields the rounds it wants generated and is
sent what came of them, so that one driver can enumerate it and another run hundreds side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Round(NamedTuple):
    """Go on from `prompt` until one of `stops` (which is returned) or `limit` tokens; `barred` may not come at all."""

    prompt: list[int]
    stops: frozenset[int]
    limit: int
    barred: frozenset[int] = frozenset()


@dataclass(frozen=True)
class S1:
    """Budget forcing with single-token closes. `limit` is the request's own, `reserve` the answer's share of it."""

    close: int
    eos: frozenset[int]
    max_tokens: int | None
    waits: int
    wait: tuple[int, ...]
    forced_close: tuple[int, ...]  # with the final text
    min_tokens: int = 0
    limit: int = 10**9
    reserve: int = 0

    @property
    def stops(self) -> frozenset[int]:
        return self.eos | {self.close}

    def room(self, spent: int, emitted: int) -> int:
        """Thinking tokens that may still come."""
        left = self.limit - self.reserve - len(self.forced_close) - emitted
        return left if self.max_tokens is None else min(left, self.max_tokens - spent)

    def loop(self, prompt: Sequence[int]) -> Generator[Round, list[int], list[int]]:
        out: list[int] = []  # all of it is thinking
        extensions = 0
        barred: frozenset[int] = frozenset()
        while True:
            room = self.room(len(out), len(out))
            if room <= 0:
                out += self.forced_close
                break
            if not barred and len(out) < self.min_tokens and self.bans(len(out), extensions):
                barred = self.stops
            if barred:  # one token without the stops, then as before
                out += yield Round([*prompt, *out], frozenset(), 1, barred)
                barred = frozenset()
                continue
            step = room if len(out) >= self.min_tokens else min(room, self.min_tokens - len(out))
            new = yield Round([*prompt, *out], self.stops, step)
            stopped = bool(new) and new[-1] in self.stops
            out += new[:-1] if stopped else new
            if not stopped:
                continue
            below = len(out) < self.min_tokens
            if extensions >= self.waits and not below:
                out.append(self.close)
                break
            if not self.wait:
                extensions += 1
                barred = self.stops
            elif self.room(len(out), len(out)) > len(self.wait):
                extensions += 1
                out += self.wait
            elif below:
                barred = self.stops
            else:
                out.append(self.close)
                break
        if len(out) < self.limit:
            out += yield Round([*prompt, *out], self.eos, self.limit - len(out))
        return out

    def bans(self, spent: int, extensions: int) -> bool:
        """Whether a close below the minimum could not be extended, so that it is barred from the start."""
        if not self.wait:
            return extensions >= self.waits
        return self.room(spent, spent) <= len(self.wait)


def outcomes(
    s1: S1, prompt: Sequence[int], distribution: Callable[[Sequence[int]], Iterable[float]]
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every output of the loop with its probability, by running it once per path of draws.

    Args:
        s1: the loop.
        prompt: ids.
        distribution: tokens so far (with the prompt) -> probabilities of the next.
    """
    pending: list[list[int]] = [[]]
    while pending:
        choices, drawn, probability = pending.pop(), 0, 1.0
        loop = s1.loop(prompt)
        asked = next(loop)
        while True:
            new: list[int] = []
            while len(new) < asked.limit and not (new and new[-1] in asked.stops):
                shares = dict(enumerate(distribution([*asked.prompt, *new])))
                options = [token for token, share in shares.items() if share > 0 and token not in asked.barred]
                if drawn == len(choices):
                    pending.extend([*choices, i] for i in range(1, len(options)))
                    choices.append(0)
                new.append(options[choices[drawn]])
                probability *= shares[new[-1]] / sum(shares[token] for token in options)
                drawn += 1
            try:
                asked = loop.send(new)
            except StopIteration as done:
                yield tuple(done.value), probability
                break

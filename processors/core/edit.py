"""Edits: changes to the distribution of the next token, as data.

An edit is a map on the weights of tokens, w = exp(logit / temperature). It drops each token, or multiplies its weight
by exp(bias / temperature) and assigns it to the same or to another token. Maps of this kind are closed under
composition, so a chain of controls costs one write into the logits; composition of maps is associative. No arrays are
involved here; adapters write the logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from thinkpace.errors import NoLegalToken

Sources = tuple[tuple[int, float], ...]
_NONE: frozenset[int] = frozenset()
KNOWN_EDITS = 4096  # size limit of the caches of composed edits


@dataclass(frozen=True)
class Edit:
    """A change to the distribution of the next token. Its parts apply in the order of the arguments.

    Args:
        only: allowed ids; None for all. A single id forces that token.
        ban: ids that are not allowed.
        redraw: ids that are not allowed, like `ban`, but the state learns when one of them would have been drawn (s1
            ignores the end of thinking this way, without writing anything). The probability of that is their share of
            the weight of all ids that are allowed or redrawn.
        bias: id -> value added to its logit, before the temperature.
        redirect: id -> the id that its probability moves to. The adapter then draws which source the probability came
            from (attribution), and passes it to the state.

    Equivalent edits are equal: zero biases, redirects of an id to itself and changes to dropped ids are removed.

    Raises:
        NoLegalToken: if no token is left.
    """

    only: frozenset[int] | None = None
    ban: frozenset[int] = _NONE
    redraw: frozenset[int] = _NONE
    bias: Mapping[int, float] = field(default_factory=dict)
    redirect: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dropped = self.ban | self.redraw
        set_ = object.__setattr__
        if self.only is not None:
            set_(self, "only", self.only - dropped)
            set_(self, "ban", _NONE)
            if not self.only:
                raise NoLegalToken("the edit allows no token at all")
        else:
            set_(self, "ban", self.ban - self.redraw)
        set_(self, "bias", {i: b for i, b in self.bias.items() if b != 0 and (self._lives(i) or i in self.redraw)})
        set_(self, "redirect", {i: j for i, j in self.redirect.items() if i != j and self._lives(i)})

    def _lives(self, token: int) -> bool:
        if self.only is not None:
            return token in self.only
        return token not in self.ban and token not in self.redraw

    def _alive(self, tokens: frozenset[int]) -> frozenset[int]:
        return tokens & self.only if self.only is not None else tokens - self.ban - self.redraw

    def __hash__(self) -> int:
        return hash((self.only, self.ban, self.redraw, frozenset(self.bias.items()), frozenset(self.redirect.items())))

    @property
    def forced(self) -> int | None:
        """The id that is certain to come next, if there is one."""
        if self.only is None:
            return None
        targets = {self.redirect.get(i, i) for i in self.only}
        return targets.pop() if len(targets) == 1 else None

    def then(self, after: Edit) -> Edit:
        """This edit followed by `after`.

        >>> ban(1).then(redirect([2], 3)) == Edit(ban=frozenset({1}), redirect={2: 3})
        True

        Raises:
            NoLegalToken: if the two leave no token.
        """
        if after is KEEP:
            return self
        if self is KEEP:
            return after
        moving = set(self.bias) | set(self.redirect) | set(after.bias) | set(after.redirect)
        # ids that are only allowed or dropped: as whole sets
        alive = self._alive(after.redraw)
        redrawn = set((self.redraw | alive) - moving)
        banned = set((self.ban | (after.ban - self.redraw)) - moving)
        allowed: set[int] = set()
        if self.only is not None:
            allowed = set(self.only - moving if after.only is None else (self.only & after.only) - moving)
            allowed -= after.ban | after.redraw
        elif after.only is not None:
            allowed = set(self._alive(after.only) - moving)
        bias = {i: self.bias.get(i, 0.0) for i in self.redraw}
        moved = {}
        for token in moving:
            if not self._lives(token):
                (redrawn if token in self.redraw else banned).add(token)
                continue
            target = self.redirect.get(token, token)
            bias[token] = self.bias.get(token, 0.0) + after.bias.get(target, 0.0)
            if not after._lives(target):
                (redrawn if target in after.redraw else banned).add(token)
                continue
            allowed.add(token)
            moved[token] = after.redirect.get(target, target)
        if self.only is None and after.only is None:
            return Edit(None, frozenset(banned), frozenset(redrawn), bias, moved)
        return Edit(frozenset(allowed), _NONE, frozenset(redrawn), bias, moved)

    @cached_property
    def merged(self) -> Mapping[int, Sources]:
        """For every id whose weight is changed but not dropped: id -> its sources, each an (id, bias).

        The new weight of an id is the sum of its sources' biased weights.
        """
        moving = {i for i in (set(self.bias) | set(self.redirect)) if self._lives(i)}
        sources: dict[int, list[tuple[int, float]]] = {}
        for i in moving:
            sources.setdefault(self.redirect.get(i, i), []).append((i, self.bias.get(i, 0.0)))
        for target, parts in sources.items():  # a target that is otherwise unchanged keeps its own weight
            if target not in moving and self._lives(target):
                parts.append((target, 0.0))
        return {i: tuple(sorted(parts)) for i, parts in sorted(sources.items())}

    @cached_property
    def dropped(self) -> frozenset[int]:
        """Ids that lose all their weight; empty with `only`, where all ids outside `merged` and `kept` lose it."""
        if self.only is not None:
            return _NONE
        return (self.ban | self.redraw | frozenset(self.redirect)) - frozenset(self.merged)

    @cached_property
    def kept(self) -> frozenset[int]:
        """With `only`: the ids whose weight is unchanged; empty otherwise."""
        return _NONE if self.only is None else self.only - frozenset(self.redirect) - frozenset(self.merged)

    @cached_property
    def moved_onto(self) -> Mapping[int, Sources]:
        """For every target of a redirect: all its sources, itself included unless it is dropped."""
        targets = set(self.redirect.values())
        return {i: sources for i, sources in self.merged.items() if i in targets}


KEEP = Edit()


@lru_cache(maxsize=KNOWN_EDITS)
def force(token: int) -> Edit:
    """Exactly this token comes next. Cached: the same token gives the same object, which adapters rely on."""
    return Edit(only=frozenset({token}))


def only(tokens: Iterable[int]) -> Edit:
    """One of these tokens comes next."""
    return Edit(only=frozenset(tokens))


def ban(*tokens: int) -> Edit:
    """None of these tokens comes next."""
    return Edit(ban=frozenset(tokens))


def redraw(tokens: Iterable[int]) -> Edit:
    """None of these tokens comes next; the state learns when one of them would have been drawn."""
    return Edit(redraw=frozenset(tokens))


def bias(amounts: Mapping[int, float]) -> Edit:
    """Add to the logits of these tokens, before the temperature."""
    return Edit(bias=dict(amounts))


def redirect(sources: Iterable[int], target: int) -> Edit:
    """Where one of `sources` would have come, `target` comes instead."""
    return Edit(redirect=dict.fromkeys(sources, target))

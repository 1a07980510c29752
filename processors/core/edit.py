"""Edits: what is done to the next token, as data.

An edit is a map on the weights of tokens, w = exp(logit / temperature). Every token is dropped, or keeps its weight,
times exp(bias / temperature), and lands on itself or on another token. Maps of this kind compose into maps of this
kind, so a chain of controls costs one write into the logits, and composition is associative because it is
composition. No array is involved; adapters do the writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from thinkpace.errors import NoLegalToken

Sources = tuple[tuple[int, float], ...]
_NONE: frozenset[int] = frozenset()
KNOWN_EDITS = 4096  # how many edits made on the way are kept by those who make them


@dataclass(frozen=True)
class Edit:
    """A change to the distribution of the next token. Applied in the order of the arguments.

    Args:
        only: ids that may come; None for all. A single id is a force.
        ban: ids that may not come.
        redraw: ids that may not come, like `ban`; but had one of them been drawn, the state is told so (s1's way of
            ignoring the end of thinking without writing anything). The chance of that is their share of the weight
            of all ids that may come or are redrawn.
        bias: id -> what is added to its logit, before the temperature.
        redirect: id -> the id that its probability moves to. Where the moved probability came from is drawn
            afterwards, by the adapter, and told to the state.

    Two edits that do the same are equal: zero biases, moves onto oneself and changes to dropped ids are removed.

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
        """The id that comes for certain, if there is one."""
        if self.only is None:
            return None
        targets = {self.redirect.get(i, i) for i in self.only}
        return targets.pop() if len(targets) == 1 else None

    def then(self, after: Edit) -> Edit:
        """This edit, and `after` on its result.

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
        # ids that only stay or go: whole sets at once
        alive = self._alive(after.redraw)
        redrawn = set((self.redraw | alive) - moving)
        banned = set((self.ban | (after.ban - self.redraw)) - moving)
        kept: set[int] = set()
        if self.only is not None:
            kept = set(self.only - moving if after.only is None else (self.only & after.only) - moving)
            kept -= after.ban | after.redraw
        elif after.only is not None:
            kept = set(self._alive(after.only) - moving)
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
            kept.add(token)
            moved[token] = after.redirect.get(target, target)
        if self.only is None and after.only is None:
            return Edit(None, frozenset(banned), frozenset(redrawn), bias, moved)
        return Edit(frozenset(kept), _NONE, frozenset(redrawn), bias, moved)

    @cached_property
    def merged(self) -> Mapping[int, Sources]:
        """What ids that do not simply keep or lose their weight are made of: id -> its sources, each an (id, bias).

        The new weight of an id is the sum of its sources' weights.
        """
        moving = {i for i in (set(self.bias) | set(self.redirect)) if self._lives(i)}
        sources: dict[int, list[tuple[int, float]]] = {}
        for i in moving:
            sources.setdefault(self.redirect.get(i, i), []).append((i, self.bias.get(i, 0.0)))
        for target, found in sources.items():  # a target that nothing else touches keeps its own weight
            if target not in moving and self._lives(target):
                found.append((target, 0.0))
        return {i: tuple(sorted(found)) for i, found in sorted(sources.items())}

    @cached_property
    def dropped(self) -> frozenset[int]:
        """Ids that lose all their weight; with `only`, all that are in neither `merged` nor `kept`."""
        if self.only is not None:
            return _NONE
        return (self.ban | self.redraw | frozenset(self.redirect)) - frozenset(self.merged)

    @cached_property
    def kept(self) -> frozenset[int]:
        """With `only`: the ids that keep their own weight."""
        return _NONE if self.only is None else self.only - frozenset(self.redirect) - frozenset(self.merged)

    @cached_property
    def moved_onto(self) -> Mapping[int, Sources]:
        """For every id that others were moved onto: all its sources, itself included where it lives."""
        targets = set(self.redirect.values())
        return {i: found for i, found in self.merged.items() if i in targets}


KEEP = Edit()


@lru_cache(maxsize=KNOWN_EDITS)
def force(token: int) -> Edit:
    """Exactly this token comes next. The same object for the same token, so that adapters know it again."""
    return Edit(only=frozenset({token}))


def only(tokens: Iterable[int]) -> Edit:
    """One of these tokens comes next."""
    return Edit(only=frozenset(tokens))


def ban(*tokens: int) -> Edit:
    """None of these tokens comes next."""
    return Edit(ban=frozenset(tokens))


def redraw(tokens: Iterable[int]) -> Edit:
    """None of these comes next, and the state is told when one of them would have."""
    return Edit(redraw=frozenset(tokens))


def bias(amounts: Mapping[int, float]) -> Edit:
    """Add to the logits of these tokens, before the temperature."""
    return Edit(bias=dict(amounts))


def redirect(sources: Iterable[int], target: int) -> Edit:
    """When one of `sources` would have come, `target` comes instead."""
    return Edit(redirect=dict.fromkeys(sources, target))

"""Lookup tables of the host's machines as tensors: automaton steps, and sets of tokens.

Most tokens of a vocabulary behave alike, so tables have one column per class of tokens, not one per token. `size` is
always `known_ids`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from thinkpace.adapters.device.columns import Ids, Mask
from thinkpace.processors.core.decisions import FOREVER
from thinkpace.processors.text.automaton import Matcher
from thinkpace.processors.text.lexicon import Sort
from thinkpace.processors.text.phrases import Phrases
from thinkpace.processors.text.vocabulary import Vocabulary


class ByToken:
    """Values indexed by a row and a token.

    Args:
        classes: Long[vocabulary], the class of every token.
        values: [rows, classes].
        device: holds the tensors.
    """

    __slots__ = ("_classes", "_values")

    def __init__(
        self, classes: Sequence[int] | NDArray[np.integer], values: NDArray[np.generic], device: torch.device
    ) -> None:
        self._classes = torch.as_tensor(np.asarray(classes, dtype=np.int64), device=device)
        self._values = torch.as_tensor(values, device=device)

    def __call__(self, at: Ids, token: Ids) -> torch.Tensor:
        """The values of these tokens, in the rows `at`."""
        return self._values[at, self._classes[token]]

    def rows(self, at: Ids) -> torch.Tensor:
        """The values of all tokens: [len(at), vocabulary]."""
        return self._values[at][:, self._classes]


def alike(table: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Group equal columns of a wide table; returns (the class of every column, the table with one column per class).

    Columns are compared by a sum with random factors: two different columns are merged with a probability of about
    2^-60.
    """
    factors = np.random.default_rng(0).integers(1, 1 << 62, len(table), dtype=np.int64) | 1
    total = np.zeros(table.shape[1], dtype=np.int64)
    for row, factor in zip(table, factors, strict=True):
        total += row.astype(np.int64) * factor  # modulo 2^64
    _, samples, classes = np.unique(total, return_index=True, return_inverse=True)
    return classes, table[:, samples]


def per_token(values: Mapping[int, int], size: int, device: torch.device, dtype: torch.dtype = torch.long) -> Ids:
    """A tensor with a value for every token; 0 for tokens that are left out."""
    tensor = torch.zeros(size, dtype=dtype)
    for token, value in values.items():
        if token < size:  # a generation config may name ids outside the tokenizer
            tensor[token] = value
    return tensor.to(device)


class Sets:
    """Sets of tokens, by index; index 0 is the empty set.

    Args:
        size: ids from here on are ignored.
        device: holds the tensors.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self._size = size
        self._device = device
        self._known: dict[frozenset[int], int] = {frozenset(): 0}
        self._tensors: tuple[torch.Tensor, torch.Tensor] | None = None

    def add(self, tokens: Iterable[int]) -> int:
        """The index of a set, added if it is new."""
        self._tensors = None
        members = frozenset(token for token in tokens if token < self._size)
        return self._known.setdefault(members, len(self._known))

    def added(self, sets: Iterable[Iterable[int]]) -> Ids:
        """The indices of several sets."""
        return torch.tensor([self.add(tokens) for tokens in sets], device=self._device)

    def of(self, which: Ids) -> tuple[Ids, Mask]:
        """(ids, validity mask), both [rows, longest]; invalid entries repeat an id of the set, or are 0."""
        if self._tensors is None:
            longest = max(1, *map(len, self._known))
            members = np.zeros((len(self._known), longest), dtype=np.int64)
            lengths = np.array([len(tokens) for tokens in self._known])
            for row, tokens in enumerate(self._known):
                members[row] = min(tokens, default=0)
                members[row, : len(tokens)] = sorted(tokens)
            self._tensors = (
                torch.as_tensor(members, device=self._device),
                torch.as_tensor(np.arange(longest) < lengths[:, None], device=self._device),
            )
        ids, counts = self._tensors
        return ids[which], counts[which]


class Masks:
    """Sets of tokens that may be large, by index.

    Args:
        classes: Long[vocabulary], the class of every token.
        members: Bool[sets, classes].
        device: holds the tensors.
    """

    def __init__(self, classes: NDArray[np.integer], members: NDArray[np.bool_], device: torch.device) -> None:
        self._members = ByToken(classes, members, device)

    def of(self, which: Ids) -> torch.Tensor:
        """Bool[rows, vocabulary]: membership in these sets."""
        return self._members.rows(which)


class MatcherTable:
    """A `Matcher` on the device.

    Args:
        matcher: the host's.
        size: number of ids with columns.
        device: holds the tensors.
    """

    def __init__(self, matcher: Matcher, size: int, device: torch.device) -> None:
        tokens = sorted({token for pattern in matcher.patterns for token in pattern})
        classes = np.zeros(size, dtype=np.int64)
        classes[tokens] = np.arange(1, len(tokens) + 1)
        cursors = range(len(matcher))
        steps = np.array([[0, *(matcher.step(cursor, token) for token in tokens)] for cursor in cursors])
        self.step = ByToken(classes, steps, device)
        self.found = torch.tensor([len(matcher.found(cursor) or ()) for cursor in cursors], device=device)  #: lengths


class PhrasesTable:
    """`Phrases` on the device.

    Args:
        phrases: the host's.
        size: number of ids with columns.
        device: holds the tensors.
    """

    def __init__(self, phrases: Phrases, size: int, device: torch.device) -> None:
        going_on = [sorted(phrases.going_on(cursor)) for cursor in range(phrases.cursors)]
        single = sorted(set(phrases.wake_tokens).union(*going_on))
        by_token, samples = phrases.token_classes(size)
        classes = np.array(by_token)
        classes[single] = np.arange(len(single)) + len(samples)
        columns = [*samples, *single]
        place = {token: at for at, token in enumerate(columns)}
        rest = [[phrases.step(sort, token) for token in columns] for sort in Sort]  # an idle cursor equals its `Sort`
        steps, completed = [], []
        for cursor in range(phrases.cursors):
            row = list(rest[cursor % len(Sort)])
            for token in going_on[cursor]:
                row[place[token]] = phrases.step(cursor, token)
            steps.append([after for after, _ in row])
            completed.append([0 if whole is None else phrases.number(whole) for _, whole in row])
        self.step = ByToken(classes, np.array(steps), device)
        #: by cursor and token: `Phrases.number` of the phrase that it completes, 0 for none
        self.completed = ByToken(classes, np.array(completed), device)
        self.sets = Sets(size, device)
        #: by cursor: the index of the set of tokens that would complete a phrase
        self.completions = self.sets.added(phrases.completions(cursor) for cursor in range(phrases.cursors))

    def found(self, cursor: Ids, token: Ids) -> Mask:
        """Whether these tokens complete a phrase."""
        found: Mask = self.completed(cursor, token) > 0
        return found


def known_ids(vocabulary: Vocabulary) -> int:
    """Number of columns of a table: the ids of the vocabulary, and one for all ids beyond them."""
    return vocabulary.size + 1


def bounded(count: int) -> int:
    """Cap a number at `FOREVER`, which fits an int64 tensor and exceeds every token count."""
    return min(count, FOREVER)

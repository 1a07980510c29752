"""Find token sequences in a stream, one token at a time (Aho-Corasick).

The caller stores the cursor, an integer, so forking, rolling back and replaying a stream cost nothing.
All tables are static per matcher: the same automaton can run as tensors on a device.

Source: Aho and Corasick, Efficient string matching, CACM 18(6), 1975.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

START = 0


class Matcher:
    """An automaton over token ids.

    Args:
        patterns: the sequences to find; duplicates are removed.

    Raises:
        ValueError: if a pattern is empty.

    >>> matcher = Matcher([(1, 2), (2, 3)])
    >>> cursor = matcher.step(matcher.step(START, 1), 2)
    >>> matcher.found(cursor), matcher.found(matcher.step(cursor, 3))
    ((1, 2), (2, 3))
    """

    __slots__ = ("_advances", "_completions", "_found", "_next", "_prefix", "patterns")

    def __init__(self, patterns: Iterable[Sequence[int]]) -> None:
        self.patterns = tuple(dict.fromkeys(tuple(pattern) for pattern in patterns))
        if () in self.patterns:
            raise ValueError("a pattern must have at least one token")
        children: list[dict[int, int]] = [{}]
        #: per node: a pattern, and how many of its tokens lead there
        self._prefix: list[tuple[tuple[int, ...], int]] = [((), 0)]
        self._found: list[tuple[int, ...] | None] = [None]
        for pattern in self.patterns:
            node = START
            for length, token in enumerate(pattern, 1):
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                    self._prefix.append((pattern, length))
                    self._found.append(None)
                node = children[node][token]
            self._found[node] = pattern
        fallback = [START] * len(children)
        self._next: list[dict[int, int]] = [dict(children[START])] + [{} for _ in children[1:]]
        queue = deque(children[START].values())
        while queue:  # breadth first: a node's fallback is complete before the node is
            node = queue.popleft()
            self._next[node] = self._next[fallback[node]] | children[node]
            if self._found[node] is None:
                self._found[node] = self._found[fallback[node]]
            for token, child in children[node].items():
                fallback[child] = self._next[fallback[node]].get(token, START)
                queue.append(child)
        self._advances = [frozenset(edges) for edges in children]
        self._completions = [
            tuple(token for token, node in sorted(edges.items()) if self._found[node] is not None)
            for edges in self._next
        ]

    def __len__(self) -> int:
        """Number of cursors; they are numbered from 0."""
        return len(self._next)

    def step(self, cursor: int, token: int) -> int:
        """The cursor after one more token."""
        return self._next[cursor].get(token, START)

    def found(self, cursor: int) -> tuple[int, ...] | None:
        """The longest pattern that ends here, or None."""
        return self._found[cursor]

    def partial_match(self, cursor: int) -> tuple[int, ...]:
        """The longest suffix of the stream that is a prefix of a pattern (all of it directly after a match)."""
        pattern, length = self._prefix[cursor]
        return pattern[:length]

    def advances(self, cursor: int) -> frozenset[int]:
        """The tokens that would extend `partial_match`, or start a pattern if it is empty."""
        return self._advances[cursor]

    def completions(self, cursor: int) -> tuple[int, ...]:
        """The tokens that would complete a pattern as the next token."""
        return self._completions[cursor]


@lru_cache(maxsize=64)
def matcher(patterns: tuple[tuple[int, ...], ...]) -> Matcher:
    """The automaton of these patterns. It is immutable, so callers with equal patterns share one."""
    return Matcher(patterns)

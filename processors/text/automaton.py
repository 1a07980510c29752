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

    __slots__ = ("_advances", "_completions", "_found", "_longest", "_next", "patterns")

    def __init__(self, patterns: Iterable[Sequence[int]]) -> None:
        self.patterns = tuple(dict.fromkeys(tuple(pattern) for pattern in patterns))
        if () in self.patterns:
            raise ValueError("a pattern must have at least one token")
        children: list[dict[int, int]] = [{}]
        paths: list[tuple[int, ...]] = [()]
        for pattern in self.patterns:
            node = START
            for token in pattern:
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                    paths.append((*paths[node], token))
                node = children[node][token]
        fallback = [START] * len(children)
        self._next: list[dict[int, int]] = [dict(children[START])] + [{} for _ in children[1:]]
        queue = deque(children[START].values())
        while queue:  # breadth first: a node's fallback is complete before the node is
            node = queue.popleft()
            self._next[node] = self._next[fallback[node]] | children[node]
            for token, child in children[node].items():
                fallback[child] = self._next[fallback[node]].get(token, START)
                queue.append(child)
        self._advances = [frozenset(edges) for edges in children]
        whole = set(self.patterns)
        self._longest = paths
        self._found: list[tuple[int, ...] | None] = []
        for node in range(len(paths)):
            at = node
            while at != START and paths[at] not in whole:
                at = fallback[at]
            self._found.append(None if at == START else paths[at])
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
        return self._longest[cursor]

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

"""How controls are sent to a vLLM worker: as one text in a request's extra arguments.

Offline, use `SamplingParams(extra_args=extra_args(ThinkBudget(512)))`. Over HTTP, use the field `vllm_xargs`:

    {"thinkpace": "ThinkBudget(512) + LoopBreaker()"}
    {"thinkpace": "{\\"controls\\": [{\\"control\\": \\"ThinkBudget\\", \\"max_tokens\\": 512}], \\"seed\\": 7}"}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from thinkpace.processors.budgeting.budget import ALIASES
from thinkpace.processors.catalog import names as known_controls
from thinkpace.processors.core.control import Control
from thinkpace.processors.spec import check_kept, control_from_json, controls_from_text
from thinkpace.processors.text.markers import Markers

T = TypeVar("T")
KEY = "thinkpace"
PROCESSOR = "thinkpace.adapters.vllm:ThinkpaceLogitsProcessor"  # path by which vLLM loads our class
_PLAIN = (
    "seed",
    "receipt",
    "has_siblings",
    "continued",
    "drawn",
    "structured_outputs",
)  # fields of `WireRequest` sent unchanged
_STRAY = {*ALIASES, "thinking_token_budget", "controls"}  # names that would be ignored beside the key


@dataclass(frozen=True, slots=True)
class WireRequest:
    """The terms of a request: its controls, and what the worker needs to apply them.

    Args:
        controls: in order.
        markers: the model's thinking markers; None for those of the engine.
        seed: for drawing which id a moved token came from; None for the request's own seed, or a random one.
        receipt: folder in which the worker writes notes for the receipt
            (`thinkpace.adapters.vllm.notes.open_notes`); empty for no notes.
        has_siblings: whether the request has several sequences, whose notes must be distinguished.
        continued: number of ids at the end of the prompt that are earlier output (`Request.continue_from`).
        drawn: draws of the earlier output that differ from its tokens: (output index, id).
        structured_outputs: whether vLLM's own structured outputs may constrain the answer. The worker then checks that
            they and the controls can go together (`thinkpace.adapters.vllm.native.structured_outputs`).

    Raises:
        ValueError: if a field is invalid.
    """

    controls: tuple[Control, ...]
    markers: Markers | None = None
    seed: int | None = None
    receipt: str = ""
    has_siblings: bool = False
    continued: int = 0
    drawn: tuple[tuple[int, int], ...] = ()
    structured_outputs: bool = False

    def __post_init__(self) -> None:
        if not _is_count(self.continued):
            raise ValueError(f"continued must be a whole number >= 0, got {self.continued!r}")
        if not all(_is_count(at) and at < self.continued and _is_count(token) for at, token in self.drawn):
            raise ValueError(
                f"drawn must be pairs of a place below continued={self.continued} and an id, got {self.drawn!r}"
            )
        if self.seed is not None and (not isinstance(self.seed, int) or isinstance(self.seed, bool)):
            raise ValueError(f"seed must be a whole number, got {self.seed!r}")
        if not isinstance(self.receipt, str) or not re.fullmatch(r"[A-Za-z0-9_-]{0,128}", self.receipt):
            raise ValueError(f"receipt must be at most 128 letters, digits, - and _, got {self.receipt!r}")
        for name in ("has_siblings", "structured_outputs"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")

    def text(self) -> str:
        """The text that `terms_from` reads."""
        data: dict[str, Any] = {"controls": [control.to_json() for control in self.controls]}
        data |= {"markers": self.markers.to_json()} if self.markers else {}
        data |= {} if self.seed is None else {"seed": self.seed}
        data |= {"receipt": self.receipt} if self.receipt else {}
        data |= {"continued": self.continued, "drawn": self.drawn} if self.continued else {}
        return json.dumps(data | {name: True for name in ("has_siblings", "structured_outputs") if getattr(self, name)})


def extra_args(
    *controls: Control, markers: Markers | None = None, seed: int | None = None, structured_outputs: bool = False
) -> dict[str, str]:
    """The extra arguments for `SamplingParams(extra_args=...)` and `vllm_xargs`.

    Args:
        controls: in order.
        markers, seed, structured_outputs: as in `WireRequest`.

    >>> from thinkpace import LoopBreaker
    >>> list(extra_args(LoopBreaker()))
    ['thinkpace']

    Raises:
        TypeError: if an argument is not a control.
        ValueError: for a control that a server could not rebuild from text, since no package registers it.
    """
    for control in controls:
        if not isinstance(control, Control):
            raise TypeError(f"expected a control such as ThinkBudget(max_tokens=512), got {control!r}")
        check_kept(control)
    return {KEY: WireRequest(controls, markers, seed, structured_outputs=structured_outputs).text()}


def terms_from(arguments: Mapping[str, Any] | None) -> WireRequest | None:
    """The terms in a request's extra arguments; None if there are none.

    >>> terms_from({"thinkpace": "LoopBreaker()"}).controls
    (LoopBreaker(),)

    Raises:
        ValueError: if they are invalid; it names the field.
    """
    if misspelled := misspelled_key(arguments):
        raise ValueError(f"{misspelled!r} among the extra arguments would be ignored: the name is {KEY!r}")
    stray = sorted(_STRAY & set(arguments or ()))
    if stray:
        raise ValueError(
            f"{stray[0]} among the extra arguments would be ignored: write it into {KEY}, "
            f'such as {{"{KEY}": "ThinkBudget(512)"}}'
        )
    given = (arguments or {}).get(KEY)
    if given is None:
        return None
    if not isinstance(given, str):
        raise ValueError(f"{KEY} must be a text, JSON or such as 'ThinkBudget(512)', got {given!r}")
    text = given.strip()
    if not text:
        raise ValueError(f"{KEY} is empty: leave it out, or name controls, such as 'ThinkBudget(512)'")
    if not text.startswith(("{", "[")):
        return WireRequest(_reading(KEY, controls_from_text, text))
    data = _reading(KEY, _json, text)
    data = {"controls": data} if isinstance(data, list) else data
    if unknown := sorted(set(data) - {"controls", "markers", *_PLAIN}):
        raise ValueError(f"{KEY}.{unknown[0]} is no field; these are controls, markers, seed and receipt")
    controls = data.get("controls", [])
    if not isinstance(controls, list):
        raise ValueError(f"{KEY}.controls must be a list, got {controls!r}")
    parsed = [_reading(f"{KEY}.controls[{i}]", control_from_json, control) for i, control in enumerate(controls)]
    markers = _reading(f"{KEY}.markers", _markers, data.get("markers"))
    rest = {name: data[name] for name in _PLAIN if name in data}
    if "drawn" in rest:
        rest["drawn"] = _reading(f"{KEY}.drawn", _pairs, rest["drawn"])
    return _reading(KEY, lambda rest: WireRequest(tuple(parsed), markers, **rest), rest)


def misspelled_key(arguments: Mapping[str, Any] | None) -> str | None:
    """A name among the extra arguments that is meant for us and written in another way; None if there is none."""
    names = (name for name in arguments or () if name != KEY)
    kinds = {kind.lower() for kind in known_controls() if len(kind) > len("during")}  # short ones may be others' names
    for name in names:
        plain = re.sub(r"[\W_]", "", name).lower()
        if plain in kinds or get_close_matches(plain, [KEY], 1, 0.85):
            return name
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _pairs(data: Any) -> tuple[tuple[Any, Any], ...]:
    return tuple((at, token) for at, token in data)


def _reading(field: str, read: Callable[[Any], T], value: Any) -> T:
    """`read(value)`, with errors that begin with the field's name."""
    try:
        return read(value)
    except RecursionError:
        raise ValueError(f"{field}: too deeply nested") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{field}: {error}") from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None


def _markers(data: Any) -> Markers | None:
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise TypeError(f"expected open and close, got {data!r}")
    return Markers(**data)

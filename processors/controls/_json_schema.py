"""Turn a JSON schema into a regular expression whose texts are all valid. What it cannot enforce is refused by name.

Every text that matches is JSON that the schema accepts; not all that it accepts match: properties come in the order of
the schema, white space is at most one space, strings have no \\u escapes, and values of any type nest three deep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from thinkpace.processors.controls._ranges import numbers, whole_numbers

LENGTH = 100_000  # most characters of an expression
NODES = 2_000  # most parts of a schema, with its references written out
DEEPEST = 64
FAR = 10**15  # bounds of numbers lie below: doubles hold as many

_S = "[ ]?"
_CHARACTER = r'([^"\\\x00-\x1f\x7f-\x9f]|\\["\\/bfnrt])'
_WHOLE = "-?(0|[1-9][0-9]*)"
_NUMBER = rf"{_WHOLE}(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_LEAP = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_DATE = (
    f"([0-9]{{4}}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)|{_LEAP}-02-29)"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "email": r"[A-Za-z0-9_%+-]+(\.[A-Za-z0-9_%+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
    "uri": r"[a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+",
}
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
#: by type: the keywords that are enforced, in groups of which one may be used
_KEYWORDS: Mapping[str, tuple[set[str], ...]] = {
    "string": ({"minLength", "maxLength"}, {"pattern"}, {"format"}),
    "integer": (_BOUNDS,),
    "number": (_BOUNDS,),
    "boolean": (),
    "null": (),
    "array": ({"items", "minItems", "maxItems"}, {"prefixItems"}),
    "object": ({"properties", "required", "additionalProperties"},),
}
_ANNOTATIONS = {
    *("title", "description", "default", "examples", "example", "$schema", "$id", "$comment"),
    *("deprecated", "readOnly", "writeOnly", "$defs", "definitions"),
}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def schema_pattern(schema: Any) -> str:
    """The expression of a schema.

    Args:
        schema: a JSON schema, read.

    Raises:
        ValueError: if it is no schema, or has a part that would not be enforced; the message names it.
    """
    return _Writer(schema).any_of(schema, (), 0)


@lru_cache(maxsize=16)
def _expression(text: str) -> str:
    from thinkpace.processors.text import shared_patterns  # loads numpy

    tables = shared_patterns.read("json_schema", text)
    if tables is not None:
        left = shared_patterns.text_of(tables)
        if left is not None:
            return left
        shared_patterns.discard("json_schema", text)
    return schema_pattern(json.loads(text))


def expression_of(text: str) -> str:
    """The expression of a schema as text: cached, or left by another process (`shared_patterns`), or written.

    Raises:
        ValueError: as `schema_pattern`.
    """
    from thinkpace.processors.text import shared_patterns  # loads numpy

    found = _expression(text)
    if shared_patterns.sharing():
        shared_patterns.write(shared_patterns.tables_of(found), "json_schema", text)
    return found


class _Writer:
    def __init__(self, root: Any) -> None:
        from thinkpace.processors.text.pattern import EFFORT  # loads numpy

        self._root = root
        self._nodes = 0
        self._effort = EFFORT // 2  # for all inner patterns together
        self._inner = dict[str, str]()

    def any_of(self, node: Any, inside: tuple[str, ...], depth: int) -> str:
        """The expression of a node; `inside` are the references that it stands in."""
        self._nodes += 1
        if self._nodes > NODES or depth > DEEPEST:
            raise ValueError(f"json_schema has more than {NODES} parts, or more than {DEEPEST} levels")
        if node is True:
            node = {}
        if not isinstance(node, dict):
            raise ValueError(f"json_schema: expected an object, got {_short(node)}")
        given = {name: value for name, value in node.items() if name not in _ANNOTATIONS}
        for name, write in self._combining.items():
            if name in given:
                beside = set(given) - {name} - ({"type"} if name in ("enum", "const") else set())
                if beside:
                    raise ValueError(f"json_schema has {_names(beside)} beside {name!r}, which would not be enforced")
                return self._bounded(write(self, given, inside, depth))
        if isinstance(given.get("type"), list):
            if not given["type"] or len(given) > 1:
                raise ValueError(
                    "json_schema: a list of types must hold one, and nothing may stand beside it: use anyOf"
                )
            return _one_of(self.any_of({"type": kind}, inside, depth + 1) for kind in given["type"])
        kind = given.pop("type", None) or next((k for k in ("object", "array") if set(given) & _all(k)), None)
        if kind is None and not given:
            return _any_value(3)
        if not isinstance(kind, str) or kind not in _KEYWORDS:
            what = f"the type {_short(kind)}" if kind else f"{_names(set(given))} without a type"
            raise ValueError(f"json_schema has {what}, which would not be enforced")
        if unknown := set(given) - _all(kind):
            raise ValueError(f"json_schema uses {_names(unknown)} of type {kind!r}, which would not be enforced")
        if not any(set(given) <= group for group in (*_KEYWORDS[kind], set[str]())):
            raise ValueError(
                f"json_schema uses {_names(set(given))} of type {kind!r}, which would not be enforced together"
            )
        return self._bounded(str(getattr(self, f"_{kind}")(given, inside, depth)))

    def _bounded(self, expression: str) -> str:
        if len(expression) > LENGTH:
            raise ValueError(f"json_schema has more than {LENGTH:,} characters as an expression: make it smaller")
        return expression

    def _reference(self, given: dict[str, Any], inside: tuple[str, ...], depth: int) -> str:
        name = given["$ref"]
        if name in inside:
            raise ValueError(f"json_schema: {name!r} refers to itself, which a regular expression cannot follow")
        node = self._root
        try:
            prefix, *path = name.split("/")
            if prefix != "#":
                raise KeyError(name)
            for part in path:
                node = node[part.replace("~1", "/").replace("~0", "~")]
        except (KeyError, TypeError, AttributeError, IndexError):
            raise ValueError(f"json_schema: {_short(name)} refers to nothing in it") from None
        return self.any_of(node, (*inside, name), depth + 1)

    def _values(self, given: dict[str, Any], _inside: tuple[str, ...], _depth: int) -> str:
        values = given["enum"] if "enum" in given else [given["const"]]
        if not isinstance(values, list) or not values:
            raise ValueError("json_schema: enum must be a list of values")
        kind = given.get("type")
        for value in values:
            if not isinstance(value, str | int | float | None):
                raise ValueError(
                    f"json_schema: {_short(value)} among the values is no text, number, true, false or null"
                )
            if kind is not None and not _is_of(value, kind):
                raise ValueError(f"json_schema: the value {_short(value)} is not of the type {_short(kind)}")
        return _one_of(re.escape(json.dumps(value, ensure_ascii=False)) for value in values)

    def _alternatives(self, given: dict[str, Any], inside: tuple[str, ...], depth: int) -> str:
        name = next(iter(given))
        parts = given[name]
        if not isinstance(parts, list) or not parts:
            raise ValueError(f"json_schema: {name} must be a list of schemas")
        if name == "allOf" and len(parts) > 1:
            raise ValueError(
                "json_schema has an allOf of several schemas, which would not be enforced: write them as one"
            )
        if name == "oneOf" and len(parts) > 1:
            kinds = [part.get("type") if isinstance(part, dict) else None for part in parts]
            apart = ["number" if kind == "integer" else kind for kind in kinds]
            if not all(isinstance(kind, str) for kind in kinds) or len(set(map(str, apart))) < len(apart):
                raise ValueError("json_schema has a oneOf whose parts may both hold: use anyOf")
        return _one_of(self.any_of(part, inside, depth + 1) for part in parts)

    _combining: Mapping[str, Callable[[_Writer, dict[str, Any], tuple[str, ...], int], str]] = {
        "$ref": _reference, "enum": _values, "const": _values,
        "anyOf": _alternatives, "oneOf": _alternatives, "allOf": _alternatives,
    }  # fmt: skip

    def _string(self, given: dict[str, Any], _inside: tuple[str, ...], _depth: int) -> str:
        if "pattern" in given:
            return f'"({self._inner_pattern(given["pattern"])})"'
        if "format" in given:
            if not isinstance(given["format"], str) or given["format"] not in _FORMATS:
                raise ValueError(f"json_schema uses the format {_short(given['format'])}, which would not be enforced")
            return f'"{_FORMATS[given["format"]]}"'
        return f'"{_CHARACTER}{_times(given, "minLength", "maxLength")}"'

    def _inner_pattern(self, pattern: Any) -> str:
        """The inside of an anchored pattern, all of whose texts stand in JSON as they are."""
        from thinkpace.processors.text.pattern import Pattern  # loads numpy

        if not isinstance(pattern, str) or not re.fullmatch(r"\^.*[^\\]\$|\^\$", pattern, re.DOTALL):
            raise ValueError(
                f"json_schema: pattern must be '^...$', since the whole text is matched; got {_short(pattern)}"
            )
        if pattern in self._inner:
            return self._inner[pattern]
        inner = pattern[1:-1]
        try:
            automaton = Pattern(inner, effort=self._effort)
        except ValueError as error:
            raise ValueError(f"json_schema: {error}") from None
        self._effort -= automaton.effort
        for code in (*range(0x20), ord('"'), ord("\\")):
            if automaton.reads(code):
                raise ValueError(
                    f"json_schema: the pattern {_short(pattern)} may match {chr(code)!r}, which JSON writes in another "
                    r'way: leave it out, as [^"\\\x00-\x1f] does'
                )
        self._inner[pattern] = inner
        return inner

    def _integer(self, given: dict[str, Any], _inside: tuple[str, ...], _depth: int) -> str:
        return whole_numbers(*_range(given, whole=True)) if given else _WHOLE

    def _number(self, given: dict[str, Any], _inside: tuple[str, ...], _depth: int) -> str:
        return numbers(*_range(given, whole=False)) if given else _NUMBER

    def _boolean(self, _given: dict[str, Any], _inside: tuple[str, ...], _depth: int) -> str:
        return "(true|false)"

    def _null(self, _given: dict[str, Any], _inside: tuple[str, ...], _depth: int) -> str:
        return "null"

    def _array(self, given: dict[str, Any], inside: tuple[str, ...], depth: int) -> str:
        if "prefixItems" in given:
            parts = given["prefixItems"]
            if not isinstance(parts, list) or not parts:
                raise ValueError("json_schema: prefixItems must be a list of schemas")
            return rf"\[{_S}{f',{_S}'.join(self.any_of(part, inside, depth + 1) for part in parts)}{_S}\]"
        item = self.any_of(given["items"], inside, depth + 1) if "items" in given else _any_value(2)
        least, most = _counts(given, "minItems", "maxItems")
        if most == 0:
            return rf"\[{_S}\]"
        more = f"(,{_S}{item}){{{max(least - 1, 0)},{'' if most is None else most - 1}}}"
        return rf"\[{_S}{item}{more}{_S}\]" if least else rf"\[{_S}({item}{more})?{_S}\]"

    def _object(self, given: dict[str, Any], inside: tuple[str, ...], depth: int) -> str:
        properties, required = given.get("properties", {}), given.get("required", [])
        named = isinstance(required, list) and all(isinstance(name, str) for name in required)
        if not isinstance(properties, dict) or not named:
            raise ValueError("json_schema: properties must be an object, and required a list of names")
        missing = [name for name in required if name not in properties]
        if missing:
            raise ValueError(f"json_schema requires {_short(missing[0])}, which is not among its properties")
        others = given.get("additionalProperties", True)
        if not properties:
            if others is False:
                return rf"\{{{_S}\}}"
            value = _any_value(2) if others is True else self.any_of(others, inside, depth + 1)
            return _object_of(value)
        members = {name: self._member(name, node, inside, depth) for name, node in properties.items()}
        first = next((i for i, name in enumerate(members) if name in required), None)
        texts = [*members.items()]
        if first is None:  # all optional: whichever comes first, the later ones may follow
            if len(texts) * sum(len(text) for _, text in texts) > 2 * LENGTH:
                raise ValueError("json_schema has more than about 40 properties of which none is required: require one")
            tails = [
                text + "".join(f"({_S},{_S}{later})?" for _, later in texts[i + 1 :])
                for i, (_, text) in enumerate(texts)
            ]
            return rf"\{{{_S}({'|'.join(tails)})?{_S}\}}"
        before = "".join(f"({text}{_S},{_S})?" for _, text in texts[:first])
        after = "".join(
            f"{_S},{_S}{text}" if name in required else f"({_S},{_S}{text})?" for name, text in texts[first + 1 :]
        )
        return rf"\{{{_S}{before}{texts[first][1]}{after}{_S}\}}"

    def _member(self, name: Any, node: Any, inside: tuple[str, ...], depth: int) -> str:
        return f"{re.escape(json.dumps(name, ensure_ascii=False))}{_S}:{_S}{self.any_of(node, inside, depth + 1)}"


def _object_of(value: str) -> str:
    member = f'"{_CHARACTER}*"{_S}:{_S}{value}'
    return rf"\{{{_S}({member}({_S},{_S}{member})*)?{_S}\}}"


def _any_value(deep: int) -> str:
    scalars = [f'"{_CHARACTER}*"', _NUMBER, "true", "false", "null"]
    if not deep:
        return _one_of(scalars)
    inner = _any_value(deep - 1)
    return _one_of([*scalars, rf"\[{_S}({inner}(,{_S}{inner})*)?{_S}\]", _object_of(inner)])


def _one_of(parts: Iterator[str] | list[str]) -> str:
    return f"({'|'.join(parts)})"


def _all(kind: str) -> set[str]:
    return set[str]().union(*_KEYWORDS[kind])


def _is_of(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return any(_is_of(value, one) for one in kind)
    if not isinstance(kind, str) or kind not in _TYPES or (isinstance(value, bool) and kind != "boolean"):
        return False
    return isinstance(value, _TYPES[kind])


def _counts(given: dict[str, Any], low: str, high: str) -> tuple[int, int | None]:
    for name in (low, high):
        value = given.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"json_schema: {name} must be a whole number >= 0, got {_short(value)}")
    if high in given and given[high] < given.get(low, 0):
        raise ValueError(f"json_schema: {high} is below {low}")
    return given.get(low, 0), given.get(high)


def _times(given: dict[str, Any], low: str, high: str) -> str:
    least, most = _counts(given, low, high)
    return f"{{{least},{'' if most is None else most}}}"


def _range(given: dict[str, Any], *, whole: bool) -> tuple[int | None, int | None]:
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or abs(value) >= FAR:
            raise ValueError(f"json_schema: {name} must be a whole number below 10 ** 15, got {_short(value)}")
    if not whole and ("exclusiveMinimum" in given or "exclusiveMaximum" in given):
        raise ValueError("json_schema: of a number, only minimum and maximum can be enforced, not the exclusive bounds")
    bounds = {name: int(value) for name, value in given.items()}
    lows = [bounds[name] + add for name, add in (("minimum", 0), ("exclusiveMinimum", 1)) if name in bounds]
    highs = [bounds[name] - add for name, add in (("maximum", 0), ("exclusiveMaximum", 1)) if name in bounds]
    return max(lows, default=None), min(highs, default=None)


def _names(names: set[str]) -> str:
    return " and ".join(map(repr, sorted(map(str, names))))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:76]}..."

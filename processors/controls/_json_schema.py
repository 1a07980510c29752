"""Find the parts of a JSON schema that the answer automaton would not enforce."""

from __future__ import annotations

from collections.abc import Iterator

from thinkpace.processors.controls._ranges import BOUNDS

#: keywords that the automaton enforces
_ENFORCED = {
    *("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions"),
    *("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    *BOUNDS,
    *("items", "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format"),
}

_ANNOTATIONS = {
    *("title", "description", "default", "examples", "example", "$schema", "$id", "$comment"),
    *("deprecated", "readOnly", "writeOnly"),
}


_FORMATS = frozenset(("date", "date-time", "time", "uuid", "uri", "email"))


def not_enforced(schema: object) -> Iterator[str]:
    """Yields, for messages, each keyword or format of a schema that the automaton would not enforce."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        if keyword in ("properties", "$defs", "definitions") and isinstance(value, dict):
            for part in value.values():
                yield from not_enforced(part)
        elif keyword in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            for part in value:
                yield from not_enforced(part)
        elif keyword in ("items", "additionalProperties"):
            yield from not_enforced(value)
        elif keyword == "format" and value not in _FORMATS:
            yield f"format {value!r}"
        elif keyword in BOUNDS and schema.get("type") not in ("integer", "number"):
            yield f"{keyword!r} without a type of number"
        elif keyword not in _ENFORCED and keyword not in _ANNOTATIONS:
            yield repr(keyword)

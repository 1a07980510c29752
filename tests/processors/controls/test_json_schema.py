"""JSON schemas as expressions: every text that matches is valid, and what would not be enforced is refused by name."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace import StructuredAnswer
from thinkpace.processors.controls._json_schema import schema_pattern

SCHEMAS: list[tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = [
    (
        {"type": "string", "format": "date"},
        ("2026-11-25", "2024-02-29", "2000-02-29", "2026-12-31"),
        ("25.11.2026", "2026-13-01", "2026-09-31", "2023-02-29", "1900-02-29"),
    ),
    ({"type": "string", "format": "time"}, ("12:30:00Z",), ("noon",)),
    ({"type": "string", "format": "date-time"}, ("2026-11-25T12:30:00+01:00",), ("2026-11-25",)),
    ({"type": "string", "format": "uuid"}, ("123e4567-e89b-12d3-a456-426614174000",), ("123",)),
    ({"type": "string", "format": "uri"}, ("https://example.org/a?b=c",), ("a b",)),
    ({"type": "string", "format": "email"}, ("a.b@example.org",), ("a.b",)),
    ({"type": "string", "pattern": "^[a-z]{2}[0-9]+$"}, ("ab12",), ("ab", "xab1")),
    ({"type": "string", "pattern": "^a|b$"}, ("a", "b"), ("ab", "c")),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ("ab", "漢字c"), ("a", "abcd")),
    ({"type": "string"}, ("", 'a"b', "a\\b\nc"), (1, None)),
    ({"enum": [1, 12, "a|b", None]}, (1, 12, "a|b", None), (2, "a")),
    ({"type": "string", "enum": ["a", "b"]}, ("a",), ("c",)),
    ({"const": 'a.b\n"c"'}, ('a.b\n"c"',), ("axb",)),
    ({"type": ["integer", "null"]}, (5, -7, None), ("5", 1.5)),
    ({"type": "number"}, (1, -0.5, 1e5, 1e-7), ("1",)),
    ({"type": "integer", "minimum": 18, "exclusiveMaximum": 121}, (18, 120), (17, 121)),
    ({"type": "number", "minimum": 0, "maximum": 1}, (0, 0.25, 1), (-1, 1.5)),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, ([True], [True, False]), ([],)),
    ({"type": "array", "items": {"type": "null"}}, ([], [None], [None] * 4), ([1],)),
    ({"type": "array", "maxItems": 0}, ([],), ([1],)),
    ({"type": "array", "prefixItems": [{"type": "null"}, {"const": 7}]}, ([None, 7],), ([None], [7])),
    ({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]}, (5, "a"), ("ab",)),
    ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, (5, None), ("a",)),
    ({"allOf": [{"type": "integer"}]}, (5,), ("a",)),
    (
        {"type": "object", "properties": {"a": {"type": "integer"}, "é": {"type": "null"}}, "required": ["a"]},
        ({"a": 1}, {"a": 1, "é": None}),
        ({}, {"é": None}),
    ),
    (
        {"properties": {name: {"type": "null"} for name in "abc"}, "required": ["b"]},
        ({"b": None}, {"a": None, "b": None}, {"b": None, "c": None}, dict.fromkeys("abc")),
        ({}, {"a": None, "c": None}),
    ),
    (
        {"properties": {name: {"type": "null"} for name in "abc"}},
        ({}, {"c": None}, dict.fromkeys("ac")),
        ({"d": None},),
    ),
    ({"properties": {'a"b\n.*': {"type": "null"}}, "required": ['a"b\n.*']}, ({'a"b\n.*': None},), ({'a"b\nx': None},)),
    (
        {"properties": {"enum": {"type": "integer", "minimum": 3, "maximum": 4}}, "required": ["enum"]},
        ({"enum": 3},),
        ({"enum": 5},),
    ),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, ({}, {"x": 1, "y": 2}), ({"x": "a"},)),
    ({"type": "object", "additionalProperties": False}, ({},), ({"x": 1},)),
    ({"type": "object"}, ({}, {"a": [1, {"b": "c"}]}), ([], 1)),
    ({}, (1, "a", None, [1], {"a": [{"b": 1}]}), ()),
    (
        {
            "$defs": {
                "d5": {"type": "boolean"},
                **{f"d{i}": {"properties": {"a": {"$ref": f"#/$defs/d{i + 1}"}}, "required": ["a"]} for i in range(5)},
            },
            "$ref": "#/$defs/d0",
        },
        ({"a": {"a": {"a": {"a": {"a": True}}}}},),
        ({"a": {"a": {"a": {}}}},),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "right", "wrong"), SCHEMAS, ids=range(len(SCHEMAS)))
def test_a_schema(schema: Any, right: tuple[Any, ...], wrong: tuple[Any, ...]) -> None:
    expression = schema_pattern(schema)
    StructuredAnswer(json_schema=schema)
    for value in right:
        assert re.fullmatch(expression, json.dumps(value, ensure_ascii=False)), value
    for value in wrong:
        assert not re.fullmatch(expression, json.dumps(value, ensure_ascii=False)), value


@given(st.sampled_from(SCHEMAS), st.data())
def test_every_text_that_matches_is_json(schema: tuple[Any, Any, Any], data: st.DataObject) -> None:
    json.loads(data.draw(st.from_regex(schema_pattern(schema[0]), fullmatch=True)))


REFUSED: list[tuple[Any, str]] = [
    ({"type": "array", "uniqueItems": True}, "'uniqueItems' of type 'array'"),
    ({"type": "objekt"}, "the type 'objekt'"),
    ({"minimum": 4}, "'minimum' without a type"),
    ({"type": "integer", "minimum": 0.5}, "minimum must be a whole number"),
    ({"type": "integer", "minimum": None}, "minimum must be a whole number"),
    ({"type": "integer", "maximum": int("98" * 2100)}, "maximum must be a whole number below"),
    ({"type": "number", "exclusiveMinimum": 0}, "not the exclusive bounds"),
    ({"type": "integer", "minimum": 4, "maximum": 3}, "no number from 4 to 3"),
    ({"type": "integer", "minimum": 3, "enum": [4, 5]}, "'minimum' beside 'enum'"),
    ({"type": "string", "pattern": "^[0-9]{3}$", "maxLength": 3}, "'maxLength' and 'pattern'"),
    ({"type": "array", "items": {}, "uniqueItems": True}, "uses 'uniqueItems' of"),
    ({"type": "string", "format": ["x"]}, "format"),
    ({"type": "object", "properties": {"a": {}}, "required": [["a"]]}, "required a list of names"),
    ({"type": "string", "format": "date", "maxLength": 3}, "'format' and 'maxLength'"),
    ({"type": "string", "format": "ipv4"}, "the format 'ipv4'"),
    ({"type": "string", "pattern": "b"}, "pattern must be '^...$'"),
    ({"type": "string", "pattern": 5}, "pattern must be '^...$'"),
    ({"type": "string", "pattern": "^.*$"}, "which JSON writes in another way"),
    ({"type": "string", "pattern": '^a"b$'}, "which JSON writes in another way"),
    ({"type": "string", "minLength": "3"}, "minLength must be a whole number"),
    ({"type": "array", "minItems": -1}, "minItems must be a whole number"),
    ({"type": "array", "minItems": 3, "maxItems": 2}, "maxItems is below minItems"),
    ({"type": "array", "prefixItems": [{}], "minItems": 3}, "'minItems' and 'prefixItems'"),
    ({"allOf": [{"type": "object"}, {"type": "object"}]}, "allOf of several"),
    ({"anyOf": [{"type": "null"}], "type": "null"}, "'type' beside 'anyOf'"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "parts may both hold"),
    ({"properties": {"a": {}}, "required": ["a", "b"]}, "requires 'b'"),
    ({"properties": {"a": {}}, "required": "a"}, "required a list of names"),
    ({"properties": {"a": {}}, "minProperties": 1}, "'minProperties'"),
    ({"type": "object", "maxProperties": 1}, "'maxProperties'"),
    ({"type": "integer", "enum": ["x"]}, "the value 'x' is not of the type 'integer'"),
    ({"enum": []}, "enum must be a list of values"),
    ({"enum": [[1]]}, "is no text, number"),
    ({"anyOf": []}, "anyOf must be a list of schemas"),
    ({"type": []}, "a list of types must hold one"),
    ({"$ref": "#/nowhere"}, "refers to nothing"),
    ({"$ref": "#"}, "refers to itself"),
    ({"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}, "refers to itself"),
    (False, "expected an object"),
    ({"properties": {"a": {"not": {}}}}, "'not' without a type"),
]


@pytest.mark.parametrize(("schema", "says"), REFUSED)
def test_what_would_not_be_enforced_is_refused(schema: Any, says: str) -> None:
    """Most of these were taken, and answers that the schema forbids came with "held"."""
    with pytest.raises(ValueError, match=re.escape(says)):
        StructuredAnswer(json_schema=json.dumps(schema))


def test_large_schemas_are_refused() -> None:
    nested: Any = {"type": "null"}
    for _ in range(200):
        nested = {"type": "array", "items": nested}
    wide = {f"p{i}": {"type": "boolean"} for i in range(1000)}
    names = [f"c{i}" for i in range(90)]
    node = {"properties": {name: {"$ref": "#/$defs/n"} for name in names}}
    fan = {"$defs": {"n": {"properties": {key: {"type": "null"} for key in names}}, "m": node}, "$ref": "#/$defs/m"}
    for schema in (nested, {"properties": wide}, fan):
        with pytest.raises(ValueError, match="has more than"):
            StructuredAnswer(json_schema=schema)
    some = {name: wide[name] for name in list(wide)[:300]}
    assert StructuredAnswer(json_schema={"properties": some, "required": ["p0"]})

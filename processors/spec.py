"""Convert controls to text and back: JSON, TOML, and the short form that they print as."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from inspect import signature
from typing import Any

from thinkpace.errors import suggestion
from thinkpace.processors.catalog import GROUP, kind_of, names
from thinkpace.processors.core.control import Control


def control_from_json(data: Mapping[str, Any]) -> Control:
    """Build the control that `Control.to_json` wrote.

    >>> control_from_json({"control": "ThinkBudget", "max_tokens": 64})
    ThinkBudget(max_tokens=64)

    Raises:
        ValueError: for an unknown control or field; and whatever the control raises for a bad value.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object with control and its fields, got {data!r}")
    rest = dict(data)
    return _built(rest.pop("control", None), (), {name: _value(value) for name, value in rest.items()})


def _value(value: Any) -> Any:
    if isinstance(value, Mapping) and "control" in value:
        return control_from_json(value)
    return tuple(value) if isinstance(value, list) else value


def check_kept(control: Control) -> None:
    """Refuse a control that does not survive a JSON round trip: journals, worker processes and servers need it.

    Raises:
        ValueError: if it does not; the message says what to do.
    """
    try:
        back = control_from_json(json.loads(json.dumps(control.to_json())))
    except ValueError as error:
        raise ValueError(
            f"{control!r} cannot be kept and sent as text ({error}): a class of your own is announced as an entry "
            f"point of the group {GROUP!r}, see docs/extending.md"
        ) from None
    except TypeError as error:
        raise ValueError(
            f"{control!r} cannot be kept and sent as text ({error}): its fields must be text, numbers or tuples"
        ) from None
    try:
        hash(control)
        same = controls_from_text(repr(control)) == (control,)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{control!r} cannot be kept and sent as text ({error}): freeze it, and use finite numbers"
        ) from None
    if type(back) is not type(control):
        raise ValueError(
            f"{control!r} comes back from its JSON as an object of another class of that name, in "
            f"{type(back).__module__}: give one of them another name"
        )
    if back != control or not same:
        raise ValueError(
            f"{control!r} comes back from its JSON as {back!r}: its fields must be text, numbers, or tuples of these"
        )


def controls_from_toml(text: str) -> tuple[Control, ...]:
    """Parse the controls of a TOML text: tables `[[controls]]`, each with `control` and its fields, in order.

    >>> controls_from_toml('[[controls]]\\ncontrol = "ThinkBudget"\\nmax_tokens = 64')
    (ThinkBudget(max_tokens=64),)

    Raises:
        ValueError: for invalid TOML, or TOML without such tables; and as `control_from_json` raises.
    """
    import tomllib  # imported here: slow to import, and rarely needed

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"no TOML: {error}") from None
    tables = data.get("controls")
    if not isinstance(tables, list):
        raise ValueError("the TOML has no [[controls]]")
    return tuple(control_from_json(table) for table in tables)


def controls_from_text(text: str) -> tuple[Control, ...]:
    """Parse controls in the short form: as they print, separated by `+`.

    Case, `-` and `_` in the names do not matter, and a control without fields needs no parentheses.

    >>> controls_from_text("think_budget(512, landing=64) + LoopBreaker + during('thinking', SuppressExpressions)")[0]
    ThinkBudget(max_tokens=512, landing=64)

    Raises:
        ValueError: for any other text, says where; and whatever the controls raise for bad values.
    """
    if not isinstance(text, str):
        raise ValueError(f"controls must be a text, got {text!r}")
    if not text.strip():
        return ()
    try:
        tree = ast.parse(f"({_plain_names(text.strip())}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too deeply nested"
        raise ValueError(f"no list of controls: {text!r} ({reason}); write ThinkBudget(512) + LoopBreaker()") from None
    parts: list[ast.expr] = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        parts.append(tree.right)
        tree = tree.left
    return tuple(_from_tree(part, text) for part in [tree, *reversed(parts)])


def _plain_names(text: str) -> str:
    """Turn hyphens between letters, outside quotes, into underscores: `think-budget(` is a valid name here."""
    out, quote, escaped = list(text), "", False
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote and not escaped else quote
            escaped = char == "\\" and not escaped
        elif char in "'\"":
            quote = char
        elif char == "-" and text[i - 1 : i].isalpha() and text[i + 1 : i + 2].isalpha():
            out[i] = "_"
    return "".join(out)


def _from_tree(node: ast.expr, text: str) -> Control:
    if isinstance(node, ast.Name):
        return _built(node.id, (), {})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        given = [_argument(value, text) for value in node.args]
        named = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ValueError(f"fields need a name in {text!r}")
            named[keyword.arg] = _argument(keyword.value, text)
        return _built(node.func.id, tuple(given), named)
    raise ValueError(f"{ast.unparse(node)!r} in {text!r} is no control: write ThinkBudget(512)")


def _argument(node: ast.expr, text: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return _from_tree(node, text)


def _built(name: object, given: tuple[Any, ...], named: dict[str, Any]) -> Control:
    if not isinstance(name, str):
        raise ValueError(f"unknown control {name!r}; known are {', '.join(names())}{suggestion(str(name), names())}")
    kind = kind_of(name)
    parameters = list(signature(kind).parameters)
    if unknown := sorted(set(named) - set(parameters)):
        raise ValueError(
            f"{kind.__name__} has no field {unknown[0]!r}; its fields are {', '.join(parameters)}"
            f"{suggestion(unknown[0], parameters)}"
        )
    try:
        return kind(*given, **named)
    except TypeError as error:
        if "argument" in str(error):  # too many, too few, or one twice: reuse the message about the signature
            raise ValueError(f"{kind.__name__}: {str(error).partition('__init__() ')[2] or error}") from None
        raise

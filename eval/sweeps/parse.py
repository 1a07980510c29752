"""Parse command-line options into our types; errors name the option."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thinkpace.eval.runs.settings import Setting, grid
from thinkpace.processors.budgeting.budget import ANSWER_RESERVE
from thinkpace.processors.core.control import Control
from thinkpace.processors.spec import controls_from_text, controls_from_toml
from thinkpace.processors.text.chat_template import check_template_arguments
from thinkpace.processors.text.markers import Markers
from thinkpace.prompts.base import Prompt, load_prompt
from thinkpace.prompts.published import named

EMBEDDED_BUDGETS = "0,16,32,64,96,128,none"
EMBEDDED_WAITS = "0,1,2,3"
EMBEDDED_RESERVE = 16  # more than "Final Answer: 7" and the end token need
EMBEDDED_NEW_TOKENS = 800
DEFAULT_NEW_TOKENS = 4096
HARNESS_NEW_TOKENS = 1024  # of the bridges to other harnesses


def new_tokens_of(given: int | None, is_embedded: bool, context_tokens: int | None, longest: int) -> int:
    """Maximum output tokens: the given number, else the default, reduced to what the longest prompt leaves free."""
    if given is not None:
        return given
    return fit_new_tokens(EMBEDDED_NEW_TOKENS if is_embedded else DEFAULT_NEW_TOKENS, context_tokens, longest)


def fit_new_tokens(wanted: int, context_tokens: int | None, prompt_tokens: int) -> int:
    """Reduce a number of output tokens to what a prompt leaves free in the context.

    Args:
        wanted: output tokens.
        context_tokens: size of the context; None if unknown, which reduces nothing.
        prompt_tokens: length of the prompt.

    Raises:
        ValueError: if the prompt leaves no room.
    """
    if context_tokens is None:
        return wanted
    if context_tokens <= prompt_tokens:
        raise ValueError(
            f"a prompt of {prompt_tokens} tokens leaves nothing of the {context_tokens} that the model holds: take a "
            "shorter --prompt, or another model"
        )
    return min(wanted, context_tokens - prompt_tokens)


def reserve_of(given: int | None, is_embedded: bool) -> int:
    """Output tokens reserved for the answer: the given number, else the default."""
    return given if given is not None else EMBEDDED_RESERVE if is_embedded else ANSWER_RESERVE


def controls_of(text: str) -> tuple[Control, ...]:
    """Parse the value of one --control: a text, or the path of a .toml file.

    Raises:
        FileNotFoundError: if the .toml file does not exist.
        ValueError: if the value is invalid or holds no control.
    """
    try:
        controls = controls_from_toml(_text(Path(text))) if text.endswith(".toml") else controls_from_text(text)
    except TypeError as error:
        raise ValueError(f"--control {text!r}: {error}") from None
    if not controls:
        raise ValueError(f"--control {text!r} holds no control")
    return controls


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start})") from None


def settings_of(
    budgets: str | None, waits: str | None, fixed: dict[str, Any], controlled: bool = False
) -> tuple[Setting, ...]:
    """The grid of budgets and waits: every budget with every number of waits.

    With only one of the two options, only that one varies. With neither, the defaults of both vary, each without the
    other.

    Args:
        budgets: value of --budgets; None if not given.
        waits: value of --waits; None if not given.
        fixed: the other fields of `BudgetForcing`.
        controlled: whether --control is given; with neither option the grid is then one setting without a limit.

    Raises:
        ValueError: for an invalid value; the message names the option.
    """
    if controlled and budgets is None and waits is None:
        return grid([None], [0], **fixed)
    limits = [number_of(text, "--budgets") for text in (EMBEDDED_BUDGETS if budgets is None else budgets).split(",")]
    extensions = [number_of(text, "--waits") for text in (EMBEDDED_WAITS if waits is None else waits).split(",")]
    if None in extensions:
        raise ValueError("--waits takes whole numbers, such as 0,1,2")
    counts = [count for count in extensions if count is not None]
    if budgets is None and waits is None:
        return grid(limits, [0], **fixed) + grid([None], [count for count in counts if count], **fixed)
    if waits is None:
        return grid(limits, [0], **fixed)
    if budgets is None:
        return grid([None], counts, **fixed)
    return grid(limits, counts, **fixed)


def number_of(text: str, option: str) -> int | None:
    """Parse the whole number of an option; "none" and -1 give None, no limit.

    Raises:
        ValueError: for anything else; the message names the option.
    """
    text = text.strip()
    if text.lower() in ("none", "-1"):
        return None
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{option}: {text!r} is no whole number") from None
    if number < 0:
        raise ValueError(f"{option}: {number} is negative; -1 or none is no limit")
    return number


def markers_of(open_marker: str | None, close_marker: str | None) -> Markers | None:
    """The markers of --open and --close; None if neither is given.

    Raises:
        ValueError: if only one is given, one is empty, or both are equal.
    """
    if (open_marker is None) != (close_marker is None):
        raise ValueError("give both --open and --close, or neither")
    return Markers(open_marker, close_marker) if open_marker is not None and close_marker is not None else None


def template_arguments_of(text: str | None) -> dict[str, Any]:
    """Parse the value of --chat-template-kwargs, a JSON object.

    Raises:
        ValueError: for anything else.
    """
    if text is None:
        return {}
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise ValueError(
            f'--chat-template-kwargs takes a JSON object, such as {{"enable_thinking": false}}, got {text!r}'
        )
    return arguments


def prompts_named(
    names: Sequence[str], file: Path | None, prefill: str | None, arguments: Mapping[str, Any]
) -> tuple[Prompt, ...]:
    """The prompts of a command.

    Args:
        names: of published prompts.
        file: a prompt of the user's own, instead of these; None for none.
        prefill: the start of the model's turn, in which backslash and n stand for a line break; None for the prompts'.
        arguments: of the chat template.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for an unknown name, a file that is no prompt, or a prefill beside a prompt that has its own.
    """
    prompts = tuple(named(name) for name in names) if file is None else (load_prompt(file),)
    given = tuple(sorted(check_template_arguments(arguments).items()))
    if prefill == "":
        raise ValueError("--prefill is empty: leave it out")
    own = next((prompt.name for prompt in prompts if prompt.prefill), None)
    if prefill is not None and own is not None:
        raise ValueError(f"--prefill: the prompt {own!r} has a prefill of its own")
    text = None if prefill is None else prefill.replace("\\n", "\n")
    return tuple(_changed(prompt, text, given) for prompt in prompts)


def _changed(prompt: Prompt, prefill: str | None, arguments: tuple[tuple[str, Any], ...]) -> Prompt:
    """The prompt with a prefill and template arguments, which its name tells."""
    parts = [] if prefill is None else [repr(prefill)]
    name = " + ".join([prompt.name, *parts, *(f"{name}={value!r}" for name, value in arguments)])
    return replace(
        prompt, name=name, prefill=prompt.prefill if prefill is None else prefill, template_arguments=arguments
    )

"""Find thinking markers by rendering a chat template, without a list of models and without guessing.

It renders a conversation with a thought of the assistant, and parses the text around the thought. If the template
drops the thought, it takes the thinking tags that the template names, provided that they form exactly one pair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from thinkpace.errors import MissingExtra, UnsupportedControl

_SYSTEM, _USER, _THOUGHT, _SAID = (
    "qq-system-qq",
    "qq-user-qq",
    "qq-thought-qq",
    "qq-answer-qq",
)  # texts that occur in no template

ON = {"enable_thinking": True, "thinking": True, "reasoning": True}
OFF = {"enable_thinking": False, "thinking": False, "reasoning": False}
#: arguments by which published templates switch thinking; `switches` tries each alone
SWITCHES: tuple[tuple[str, Any], ...] = (
    *((name, value) for name in ON for value in (True, False)),
    *(("reasoning_effort", value) for value in ("none", "low", "high")),
    ("thinking_budget", 0),
    ("thinking_budget", 512),
    ("thinking_mode", "disabled"),
)

_TAG = re.compile(r"<[^<>\s]{1,48}>|\[[^\[\]\s]{1,48}\]|◁[^◁▷\s]{1,48}▷")
_PHRASE = re.compile(r"\[[A-Z][A-Z ]{1,46}\]")  # a phrase in brackets, where tags have none
_NAMED = re.compile(r"think|thought|reason", re.IGNORECASE)


class ChatTemplate:
    """A chat template, rendered as transformers does.

    Args:
        source: jinja text.
        arguments: arguments of the rendering, such as `enable_thinking` or `bos_token`.

    Raises:
        MissingExtra: without jinja2.
        UnsupportedControl: if it is not a valid template.
    """

    def __init__(self, source: str, arguments: Mapping[str, Any]) -> None:
        self.source = source
        self.arguments = {"bos_token": "", "eos_token": "", **arguments}
        self._template = _compiled(source)

    def render(self, messages: list[dict[str, Any]], **arguments: Any) -> str | None:
        """The text; None if the template refuses such messages."""
        try:
            return str(self._template.render(messages=messages, **{**arguments, **self.arguments}))
        except Exception:  # noqa: BLE001  # templates raise any exception for unknown messages
            return None

    def prompt(self, **arguments: Any) -> str:
        """The generation prompts of a question with and without a system message, concatenated."""
        question = [_message("user", _USER)]
        texts = [
            self.render(messages, add_generation_prompt=True, **arguments)
            for messages in ([_message("system", _SYSTEM), *question], question)
        ]
        return "".join(text for text in texts if text is not None)

    def tail(self, **arguments: Any) -> str:
        """The prompt after the question."""
        return self.prompt(**arguments).rpartition(_USER)[2]

    def thoughts(self) -> Iterator[tuple[str, str, str, bool]]:
        """Yields renderings of a thought: (before the turn, before the thought, after it, whether with tool calls)."""
        fields = dict.fromkeys(("reasoning_content", "reasoning", "thinking", "thought"), _THOUGHT)
        blocks = [{"type": "thinking", "thinking": _THOUGHT}, {"type": "text", "text": _SAID}]
        parts = [{"type": "thoughts", "text": _THOUGHT}, {"type": "response", "text": _SAID}]
        call = {"type": "function", "id": "call00001", "function": {"name": "f", "arguments": {"x": 1}}}
        answers: list[tuple[dict[str, Any], bool]] = [
            (_message("assistant", _SAID) | fields, False),
            ({"role": "assistant", "content": blocks}, False),
            ({"role": "assistant", "content": {"blocks": parts}}, False),
            (_message("assistant", _SAID) | fields | {"tool_calls": [call]}, True),
        ]
        result = {"role": "tool", "content": "1", "tool_call_id": "call00001", "name": "f"}
        for arguments in ({}, ON):
            for answer, calls in answers:
                for before in ([_message("system", _SYSTEM)], []):
                    messages = [*before, _message("user", _USER), answer, *([result] if calls else [])]
                    text = self.render(messages, **arguments)
                    if text is None or _THOUGHT not in text:
                        continue
                    start, _, rest = text.partition(_USER)
                    opening, _, after = rest.partition(_THOUGHT)
                    yield start + _USER, opening, after, calls
                    break


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


@lru_cache(maxsize=1)
def _environment() -> Any:
    """The environment in which transformers renders chat templates."""
    try:
        from jinja2 import nodes
        from jinja2.ext import Extension
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ModuleNotFoundError as error:
        raise MissingExtra("reading a chat template", "hf") from error

    class Generation(Extension):
        """`{% generation %}`, which marks assistant turns for transformers: renders its content only."""

        tags = {"generation"}  # noqa: RUF012  # required by jinja

        def parse(self, parser: Any) -> list[nodes.Node]:
            next(parser.stream)
            body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return body

    def refuse(text: str) -> None:
        raise ValueError(text)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value)
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda _: "2026-01-01"
    return environment


@lru_cache(maxsize=64)
def _compiled(source: str) -> Any:
    environment = _environment()
    from jinja2 import TemplateError

    try:
        return environment.from_string(source)
    except (TemplateError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnsupportedControl(f"this is no chat template that can be read: {error}") from None


def _written(source: str) -> str:
    """The constant texts that a template can write, without those that it only compares with or splits at."""
    from jinja2 import nodes

    found = list[str]()

    def collect(node: Any) -> None:
        match node:
            case nodes.TemplateData():
                found.append(node.data)
            case nodes.Const() if isinstance(node.value, str):
                found.append(node.value)
            case nodes.Add():
                collect(node.left)
                collect(node.right)
            case nodes.Concat():
                for part in node.nodes:
                    collect(part)
            case nodes.CondExpr():
                collect(node.expr1)
                collect(node.expr2)
            case nodes.Filter():
                collect(node.node)

    tree = _environment().parse(source)
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            collect(node)
    for assignment in tree.find_all(nodes.Assign):
        collect(assignment.node)
    return "\n".join(found)


def find_pair(source: str, arguments: Mapping[str, Any]) -> tuple[str, str, str, bool]:
    """(open, close, forced close, whether the prompt opens thinking) of a chat template.

    Raises:
        MissingExtra: without jinja2.
        UnsupportedControl: where the template does not show them; the message says what to pass.
    """
    if not isinstance(source, str) or not source.strip():
        raise no_markers("there is no chat template")
    switching = {name for name, _ in SWITCHES}
    neutral = ChatTemplate(source, {name: value for name, value in arguments.items() if name not in switching})
    markers = _rendered_pair(neutral) or _named_pair(neutral)  # the markers do not depend on the switches
    opened, closed, _ = markers
    if opened == closed:
        raise no_markers(f"the chat template opens and closes with the same {opened!r}")
    tail = ChatTemplate(source, arguments).tail()
    return *markers, tail.rfind(opened.strip()) > tail.rfind(closed.strip())


def generation_prompts(source: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts that follow the question in the prompts of a chat template, under every switch of thinking."""
    template, found = ChatTemplate(source, arguments), dict[str, None]()
    for switch in ({}, *({name: value} for name, value in SWITCHES)):
        text = template.render([_message("user", _USER)], add_generation_prompt=True, **switch) or ""
        found[text.rpartition(_USER)[2]] = None
    return tuple(text for text in found if text.strip())


def names_argument(source: str, name: str) -> bool:
    """Whether a template's source holds a name."""
    return re.search(rf"\b{re.escape(name)}\b", source) is not None


def check_template_arguments(arguments: Mapping[str, object] | None, source: object = None) -> dict[str, object]:
    """The arguments, if they may be passed on to a chat template.

    Args:
        arguments: by name.
        source: of the template, as text; anything else if it is not known.

    Raises:
        UnsupportedControl: for one that engines set themselves, or that the template does not name and would ignore.
    """
    reserved = [name for name in arguments or {} if name in ("messages", "add_generation_prompt", "tokenize")]
    if reserved:
        raise UnsupportedControl(
            f"{reserved[0]} is no argument that can be passed on to the chat template: it is set here",
            field="template_arguments",
        )
    unknown = [name for name in arguments or {} if isinstance(source, str) and not names_argument(source, name)]
    if unknown:
        raise UnsupportedControl(
            f"the chat template does not know {unknown[0]!r} and would ignore it: leave it out",
            field="template_arguments",
        )
    return dict(arguments or {})


def no_markers(reason: str) -> UnsupportedControl:
    """The error for thinking markers that cannot be determined."""
    return UnsupportedControl(
        f"no thinking markers found: {reason}; pass markers=Markers('<open tag>', '<close tag>')", field="markers"
    )


def _rendered_pair(template: ChatTemplate) -> tuple[str, str, str] | None:
    prompts = [template.tail(**arguments) for arguments in ({}, ON, OFF)]
    for start, before, after, calls in template.thoughts():
        between = after.partition(_SAID)[0].lstrip() if _SAID in after else ""
        opened = _opening_line(before, prompts[0]) or _opening(before, start, prompts[0])
        closing = _TAG.match(between or after.lstrip()) or _PHRASE.match(between)
        if closing is None or opened is None:
            continue
        closed = closing.group(0)
        if between and closed in start:  # the tag also ends other parts: the text after it belongs to the marker
            opener = _TAG.match(opened)  # what opens the answer's part begins as what opens thinking
            own = "" if opener is None else between[: max(0, between.rfind(opener.group(0)))].rstrip()
            closed = own if own and own not in start else between.rstrip()
        if calls and not any(opened in prompt for prompt in prompts):
            continue  # tags that occur with tool calls only may not be thinking markers
        whole = between if between.startswith(closed) and not calls else closed
        return opened, closed, whole
    return None


def _opening_line(before: str, prompt: str) -> str | None:
    """The opening marker where no tag opens thinking: the line with which the generation prompt ends as well."""
    line = before.strip().rpartition("\n")[2].strip()
    is_text = len(line.split()) > 1 and _TAG.search(line) is None
    return line if is_text and prompt.rstrip().endswith(line) else None


def _opening(before: str, start: str, prompt: str) -> str | None:
    """The opening marker: from the last tag before the thought on, or further back if it opens other parts too."""
    tags = list(_TAG.finditer(before))
    for tag in reversed(tags):
        text = before[tag.start() :].rstrip()
        if text in start:
            continue
        if prompt[-1:].isalnum() and (last := list(_TAG.finditer(prompt))):  # the prompt ends within a header
            unfinished = prompt[last[-1].start() :]
            at = before.rfind(unfinished)
            if 0 <= at < tag.start():
                text = before[at:].rstrip()
        return text
    return None


def _named_pair(template: ChatTemplate) -> tuple[str, str, str]:
    """The only pair of thinking tags that the template names, if it ever writes the opening tag."""
    prompts = "".join(template.tail(**arguments) for arguments in ({}, ON, OFF))
    answered = [_message("user", _USER), _message("assistant", _SAID)]
    shown = "".join((template.render(answered, **given) or "") + template.prompt(**given) for given in ({}, ON, OFF))
    named = {tag for tag in _TAG.findall(template.source + prompts) if _NAMED.search(tag)}
    pairs = sorted({(tag, closed) for tag in named for closed in _closings(tag) if closed in named})
    # of several pairs, one may be written and the others only looked for in what a model wrote
    for text in (prompts, shown, *([_written(template.source)] if len(pairs) > 1 else [])):
        matches = [pair for pair in pairs if pair[0] in text]
        if len(matches) == 1:
            opened, closed = matches[0]
            return opened, closed, closed
    which = f"pairs of thinking tags ({len(pairs)}), and does not itself write just one of them"
    which = which if pairs else "no thinking tags"
    raise no_markers(f"the chat template names {which}")


def _closings(tag: str) -> Iterator[str]:
    """Yields the tags that could close this one, by the usual forms of tag pairs."""
    inner = tag[1:-1]
    if not inner.startswith("/"):
        yield f"{tag[0]}/{inner}{tag[-1]}"
    for start, end in (("START", "END"), ("BEGIN", "END"), ("start", "end"), ("begin", "end")):
        if start in inner:
            yield f"{tag[0]}{inner.replace(start, end)}{tag[-1]}"


def switches(source: str, **arguments: Any) -> dict[str, str]:
    """The effect of template arguments on thinking.

    Args:
        source: jinja text.
        arguments: arguments of every rendering.

    Returns:
        For each argument that changes the prompt, such as "enable_thinking=False": "opens" or "closes" thinking,
        "leaves it to the model", or "says so in the prompt".
    """
    opened, closed, _, _ = find_pair(source, arguments)
    template = ChatTemplate(source, arguments)
    usual, out = template.prompt(), dict[str, str]()
    for name, value in SWITCHES:
        text = template.prompt(**{name: value})
        if text in ("", usual):
            continue
        tail, before = text.rpartition(_USER)[2], usual.rpartition(_USER)[2]
        out[f"{name}={value}"] = "says so in the prompt" if tail == before else _stance(tail, opened, closed)
    return out


def stance(source: str, **arguments: Any) -> str:
    """The effect of the generation prompt on thinking under these arguments, in the words of `switches`."""
    opened, closed, _, _ = find_pair(source, arguments)
    return _stance(ChatTemplate(source, arguments).tail(), opened, closed)


def _stance(tail: str, opened: str, closed: str) -> str:
    if tail.rfind(opened) > tail.rfind(closed):
        return "opens"
    return "closes" if closed in tail else "leaves it to the model"

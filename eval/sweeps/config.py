"""The configuration of a sweep, from a TOML file or from flags, validated in one place."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from thinkpace.errors import MissingExtra, suggestion

try:
    from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, field_validator
except ModuleNotFoundError as error:
    raise MissingExtra("sweeps", "eval") from error

from thinkpace.eval import embedded
from thinkpace.eval.sweeps.parse import template_arguments_of


class Config(BaseModel):
    """A sweep's configuration. Fields are named like the flags of `thinkpace sweep`, except those in `OTHER_NAMES`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: list[str] = Field([embedded.NAME], min_length=1)
    engines: list[str | None] = Field([None], min_length=1)
    task: str = "chain"
    data: str | None = None
    grader: str | None = None
    rules: str | None = None
    budgets: str | None = None
    waits: str | None = None
    control: list[str] = []
    wait: str = "Wait"
    final: str = "Final Answer:"
    prompts: list[str] = Field(["step-by-step"], min_length=1)
    prompt_file: str | None = None
    prefill: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: StrictInt = 0
    min_p: float = 0.0
    samples: StrictInt = 1
    seed: StrictInt = 0
    limit: StrictInt | None = None
    max_new_tokens: StrictInt | None = None
    answer_reserve: StrictInt | None = None
    open_marker: str | None = None
    close_marker: str | None = None
    replay: StrictBool = False
    context: StrictInt | None = Field(None, ge=1)
    threads: StrictInt = Field(0, ge=0)
    gpu_layers: StrictInt = Field(0, ge=-1)
    parallel: StrictInt | None = Field(None, ge=1)
    executor: Literal["here", "processes", "ray"] = "here"
    workers: StrictInt = Field(2, ge=1)

    @field_validator("prompt_file", mode="before")
    @classmethod
    def _path(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @field_validator("chat_template_kwargs", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        """Parse the text that the flag takes."""
        return template_arguments_of(value) if isinstance(value, str) else value

    @field_validator("budgets", "waits", "rules", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """Join a list from a file into the comma-separated text that the flag takes."""
        return ",".join(map(str, value)) if isinstance(value, list) else str(value) if value is not None else None

    @field_validator("models", "engines", "prompts", "control", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Wrap a single text in a list."""
        return [value] if isinstance(value, str) else value


#: flag -> field, where they differ: flags that can be repeated, and the markers (`open` is a builtin of Python)
OTHER_NAMES = {
    "model": "models",
    "engine": "engines",
    "prompt": "prompts",
    "open": "open_marker",
    "close": "close_marker",
}
_FLAGS = {name: flag for flag, name in OTHER_NAMES.items()}
#: fields that decide where and how fast the work runs, and do not change its results
ELSEWHERE = {"executor", "workers", "parallel", "threads", "gpu_layers"}


def merged(file: Path | None, flags: Mapping[str, Any], kept: str | None = None) -> Config:
    """Merge a stored configuration, a file and flags; later sources override earlier ones.

    Args:
        file: TOML with the field names of `Config`, or the names of the flags.
        flags: field -> value; None counts as not given.
        kept: a stored configuration, as `as_text` wrote it.

    Raises:
        FileNotFoundError: if `file` does not exist.
        ValueError: for invalid TOML, or an unknown or invalid field; the message names the field.
    """
    given = json.loads(kept) if kept else {}
    if file is not None:
        table = {name.replace("-", "_"): value for name, value in _read(file).items()}
        given |= {OTHER_NAMES.get(name, name): value for name, value in table.items()}
        for name in ("task", "data", "prompt_file"):  # such a path is relative to the TOML file
            if isinstance(given.get(name), str) and (file.parent / given[name]).is_file():
                given[name] = str(file.parent / given[name])
    given |= {name: value for name, value in flags.items() if value is not None}
    try:
        return Config(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        fields = [_FLAGS.get(field, field) for field in Config.model_fields]
        unknown = first["type"] == "extra_forbidden"
        hint = f"; known are {', '.join(fields)}{suggestion(name, fields)}" if unknown else ""
        hint = f"; the folder of the results is given as --out{hint}" if name == "out" else hint
        source = str(file) if file is not None else "the sweep"
        raise ValueError(f"{source}: {name}: {first['msg']}, got {first['input']!r}{hint}") from None


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not TOML ({error})") from None


def command_of(config: Config) -> str:
    """The command line of a sweep: every field that is not as by default."""
    words = ["thinkpace", "sweep"]
    for name, field in Config.model_fields.items():
        value, flag = getattr(config, name), "--" + _FLAGS.get(name, name).replace("_", "-")
        if value == field.default or name in ELSEWHERE:
            continue
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                words.append(flag)
            elif one is not None and one is not False:
                words += [flag, json.dumps(one) if isinstance(one, dict) else str(one)]
    return shlex.join(words)


def as_text(config: Config) -> str:
    """The configuration as JSON, for the journal."""
    return config.model_dump_json()

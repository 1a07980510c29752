"""What a sweep is told, in a TOML file or by flags: one shape, checked in one place."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from thinkpace.errors import MissingExtra

try:
    from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, field_validator
except ModuleNotFoundError as error:
    raise MissingExtra("sweeps", "eval") from error

from thinkpace.eval import embedded


class Config(BaseModel):
    """A sweep. Names are those of the flags of `thinkpace sweep`; see `OTHER_NAMES`."""

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
    parallel: StrictInt | None = Field(None, ge=1)
    executor: Literal["here", "processes", "ray"] = "here"
    workers: StrictInt = Field(2, ge=1)

    @field_validator("budgets", "waits", "rules", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """A list of a file as the text of a flag."""
        return ",".join(map(str, value)) if isinstance(value, list) else str(value) if value is not None else None

    @field_validator("models", "engines", "prompts", "control", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """One of them without brackets."""
        return [value] if isinstance(value, str) else value


#: flags that are given once or more, and those that are words of Python's
OTHER_NAMES = {
    "model": "models",
    "engine": "engines",
    "prompt": "prompts",
    "open": "open_marker",
    "close": "close_marker",
}
_FLAGS = {name: flag for flag, name in OTHER_NAMES.items()}
#: what decides where and how fast the work is done, and nothing about its results
ELSEWHERE = {"executor", "workers", "parallel"}


def merged(file: Path | None, flags: Mapping[str, Any], kept: str | None = None) -> Config:
    """A sweep from what was kept of it, a file and flags, each over the one before; flags of None say nothing.

    Args:
        file: TOML, with the names of `Config`.
        flags: by name.
        kept: what `as_text` made of an earlier one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for what is not understood; it names the field.
    """
    given = json.loads(kept) if kept else {}
    if file is not None:
        read = {name.replace("-", "_"): value for name, value in _read(file).items()}
        given |= {OTHER_NAMES.get(name, name): value for name, value in read.items()}
        for name in ("task", "data"):  # a file beside this one
            if isinstance(given.get(name), str) and (file.parent / given[name]).is_file():
                given[name] = str(file.parent / given[name])
    given |= {name: value for name, value in flags.items() if value is not None}
    try:
        return Config(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        fields = ", ".join(_FLAGS.get(field, field) for field in Config.model_fields)
        known = f"; known are {fields}" if first["type"] == "extra_forbidden" else ""
        known = f"; the folder of the results is given as --out{known}" if name == "out" else known
        source = str(file) if file is not None else "the sweep"
        raise ValueError(f"{source}: {name}: {first['msg']}, got {first['input']!r}{known}") from None


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not TOML ({error})") from None


def as_text(config: Config) -> str:
    """For the journal."""
    return config.model_dump_json()

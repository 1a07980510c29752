"""Commands as people type them: in this process, or as one of their own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import thinkpace
from thinkpace.eval.__main__ import main

ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "COLUMNS": "160", "NO_COLOR": "1"}


def typed(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command, run in this process: importing torch takes longer than most of them."""
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["thinkpace", *arguments]),
        mock.patch.dict(os.environ, ENVIRONMENT),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int), code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def command(*arguments: str) -> list[str]:
    """A command for a process of its own, to be run in `environment`."""
    return [sys.executable, "-m", "thinkpace.eval", *arguments]


def environment() -> dict[str, str]:
    """The environment of such a process: it finds this thinkpace, and has to be quiet and modest by itself."""
    ours = {"HF_HUB_DISABLE_PROGRESS_BARS", "VLLM_CPU_KVCACHE_SPACE"}
    own = {name: value for name, value in os.environ.items() if name not in ours}
    return own | ENVIRONMENT | {"PYTHONPATH": str(Path(thinkpace.__file__).parent.parent)}


def process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command, run as a process of its own."""
    return subprocess.run(command(*arguments), cwd=cwd, env=environment(), capture_output=True, text=True, check=False)

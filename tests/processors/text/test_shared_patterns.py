"""Automata that another process finds built."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from thinkpace import StructuredAnswer, ThinkBudget
from thinkpace.processors.controls import _json_schema as schema_module
from thinkpace.processors.text import pattern as pattern_module
from thinkpace.processors.text import shared_patterns as shared
from thinkpace.processors.text.pattern import Pattern, compiled
from thinkpace.processors.text.shared_patterns import shared_patterns

EXPRESSION = r"(yes|no|é[\w ]{1,20}), \d{2,4}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pattern_module._compiled.cache_clear()
    yield tmp_path
    pattern_module._compiled.cache_clear()


def made_of(tables: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **tables)
    return out.getvalue()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nothing_is_written_unless_it_is_asked_for(folder: Path) -> None:
    compiled(EXPRESSION)
    assert not files(folder)


def test_a_shared_automaton_is_the_one_that_was_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(EXPRESSION)  # cached before: it is shared all the same
    with shared_patterns():
        made = compiled(EXPRESSION)
    pattern_module._compiled.cache_clear()
    monkeypatch.setattr(pattern_module, "_Positions", None)  # nothing can be built any more
    found = compiled(EXPRESSION)
    assert found is not made
    assert found.tables().keys() == made.tables().keys()
    for name, table in made.tables().items():
        assert np.array_equal(found.tables()[name], table), name
        assert found.tables()[name].dtype == table.dtype, name
    (path,) = files(folder)
    assert path.stat().st_mode & 0o077 == 0 or path.parent.parent.stat().st_mode & 0o077 == 0


def test_another_process_builds_nothing(folder: Path) -> None:
    with shared_patterns():
        StructuredAnswer(regex=EXPRESSION)
    script = (
        f"import tempfile; tempfile.tempdir = {str(folder)!r}\n"
        "from thinkpace.processors.text import pattern\n"
        "pattern._Positions = None\n"
        "from thinkpace import StructuredAnswer\n"
        f"StructuredAnswer(regex={EXPRESSION!r})\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("damage", [b"", b"PK", b"no automaton at all", None])
def test_a_damaged_file_is_built_again(folder: Path, damage: bytes | None) -> None:
    with shared_patterns():
        made = compiled(EXPRESSION)
    (path,) = files(folder)
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    pattern_module._compiled.cache_clear()
    assert np.array_equal(compiled(EXPRESSION).step, made.step)


def test_any_damage_of_any_byte_is_mended(folder: Path) -> None:
    """Some bits make numpy and zipfile raise other errors than those for bad files, and the file stayed for good."""
    with shared_patterns():
        made = compiled("ab|c")
        (path,) = files(folder)
        whole = path.read_bytes()
        for place in (*range(0, len(whole), 7), whole.find(b"PK\x01\x02") + 8, whole.find(b"PK\x01\x02") + 10):
            for bit in (0, 2, 7):
                damaged = bytearray(whole)
                damaged[place] ^= 1 << bit
                path.write_bytes(damaged)
                pattern_module._compiled.cache_clear()
                assert np.array_equal(compiled("ab|c").step, made.step)
        path.write_bytes(whole[:100])
        pattern_module._compiled.cache_clear()
        compiled("ab|c")
        assert len(path.read_bytes()) > 100, "written again"


def test_a_schema_is_read_too_and_its_patterns_share_one_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(x|y)+$"}}, "required": ["a"]}
    with shared_patterns():
        StructuredAnswer(json_schema=schema)
    assert len(files(folder)) == 2, "the expression, and its automaton"
    pattern_module._compiled.cache_clear()
    schema_module._expression.cache_clear()
    monkeypatch.setattr(pattern_module, "_Positions", None)
    StructuredAnswer(json_schema=schema)
    monkeypatch.undo()
    schema_module._expression.cache_clear()
    for path in files(folder):
        path.write_bytes(made_of({"other": np.zeros(1)}))
    StructuredAnswer(json_schema=schema)  # a file of another kind is damage too
    schema_module._expression.cache_clear()
    many = {f"p{i}": {"type": "string", "pattern": f"^(a|b)*a(a|b){{13}}{'c' * i}$"} for i in range(25)}
    with pytest.raises(ValueError, match="too large"):
        StructuredAnswer(json_schema={"type": "array", "maxItems": 0, "items": {"type": "object", "properties": many}})


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("step", np.zeros((3, 99), np.int32)),
        ("step", np.full((1, 4), 7, np.int32)),
        ("final", np.zeros(1, bool)),
        ("bytes", np.full((1, 256), -99, np.int32)),
        ("bytes", np.zeros((2, 7), np.int32)),
        ("reaches", np.zeros((0, 0), bool)),
        ("reaches", None),
    ],
)
def test_tables_that_are_no_automaton_are_refused(name: str, table: np.ndarray | None) -> None:
    tables = dict(Pattern(EXPRESSION).tables())
    if table is None:
        del tables[name]
    else:
        tables[name] = table
    with pytest.raises(ValueError, match="no automaton"):
        Pattern.of(tables)


def test_files_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with shared_patterns():
        compiled("a")
        (path,) = files(folder)
        monkeypatch.setattr(shared, "KEPT", 3 * path.stat().st_size)
        for letter in "bcdefgh":
            compiled(letter)
        assert 1 <= len(files(folder)) <= 3
        monkeypatch.setattr(shared, "MOST", 2)
        compiled("i")
        assert len(files(folder)) == 2


def test_a_folder_that_cannot_be_written_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "file"))  # no folder
    with shared_patterns():
        assert compiled("a").final.any()


def test_checking_a_request_for_vllm_shares_its_patterns(folder: Path) -> None:
    from types import SimpleNamespace

    from thinkpace.adapters.vllm.params import check_params
    from thinkpace.adapters.vllm.terms import extra_args

    arguments = extra_args(ThinkBudget(8), StructuredAnswer(regex=EXPRESSION))
    assert not files(folder)
    nothing = dict.fromkeys(
        ("structured_outputs", "allowed_token_ids", "bad_words", "min_tokens", "ignore_eos", "thinking_token_budget")
    )
    check_params(SimpleNamespace(extra_args=arguments, max_tokens=512, **nothing))
    assert len(files(folder)) == 1

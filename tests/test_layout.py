"""The package is one package: folders at the root, one import name, and no engine unless it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ("processors", "controllers", "adapters", "prompts", "eval")
ENGINES_AND_PLOTTING = {"torch", "transformers", "vllm", "llama_cpp", "matplotlib", "scipy", "pandas", "rich", "typer"}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("statement", ["import thinkpace", "import thinkpace.adapters.scripted, thinkpace.prompts"])
def test_importing_loads_no_engine(statement: str) -> None:
    loaded = modules_after(statement)
    assert not loaded & ENGINES_AND_PLOTTING
    assert "thinkpace" in loaded


def test_no_folder_is_imported_under_a_bare_name() -> None:
    """A bare import would make a second copy of every class: `isinstance` would then fail without a word."""
    import thinkpace.eval.sweep

    assert thinkpace.eval.sweep.__name__ == "thinkpace.eval.runs.run"
    assert not set(FOLDERS) & set(sys.modules)


def test_every_module_can_be_listed() -> None:
    import thinkpace

    root = Path(thinkpace.__file__).parent
    for folder in FOLDERS:
        assert (root / folder / "__init__.py").is_file(), f"{folder} is missing from the package"
    assert (root / "py.typed").is_file()
    assert (root / "eval" / "embedded" / "hf" / "model.safetensors").is_file(), "the embedded model is missing"
    assert (root / "eval" / "embedded" / "MODEL_CARD.md").is_file()


def test_public_names_are_there() -> None:
    import thinkpace
    from thinkpace import processors, prompts

    for module in (thinkpace, processors, prompts):
        assert sorted(module.__all__) == sorted(set(module.__all__))
        for name in module.__all__:
            assert hasattr(module, name)


@pytest.mark.parametrize(
    ("missing", "statement", "extra"),
    [
        ("typer", "from thinkpace.eval.__main__ import main; main()", "thinkpace[eval]"),
        ("torch", "import thinkpace.adapters.hf.logits_processor", "thinkpace[hf]"),
        ("transformers", "import thinkpace.adapters.hf.engine", "thinkpace[hf]"),
    ],
)
def test_a_missing_part_is_named_with_its_command(missing: str, statement: str, extra: str) -> None:
    code = f"import sys\nsys.modules[{missing!r}] = None\n{statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"pip install '{extra}'" in done.stderr.splitlines()[-1]
    if "main()" in statement:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)

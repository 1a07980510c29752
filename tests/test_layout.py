"""One package: folders at the root, one import name, rooms of few files, and no engine unless it is asked for."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from support.places import ROOT as CHECKOUT

import thinkpace
import thinkpace.testing
from thinkpace import processors, prompts
from thinkpace.processors import controls

ROOT = Path(thinkpace.__file__).parent
FOLDERS = ("processors", "controllers", "adapters", "prompts", "eval")
#: where each folder is: beside `thinkpace` in a checkout or an unpacked archive without links
PACKAGES = {folder: Path(importlib.import_module(f"thinkpace.{folder}").__path__[0]) for folder in FOLDERS}
MODULES = sorted({path for folder in (ROOT, *PACKAGES.values()) for path in folder.rglob("*.py")})
SLOW_TO_IMPORT = {
    "numpy", "torch", "transformers", "vllm", "llama_cpp", "matplotlib", "scipy", "pandas", "rich", "typer", "pydantic",
}  # fmt: skip

#: public paths that README and docs named before the rooms, and what they must give
EARLIER = {
    "thinkpace.adapters.hf": ("logits_processors", "ThinkpaceLogitsProcessorList"),
    "thinkpace.adapters.hf_engine": ("HFEngine",),
    "thinkpace.adapters.hf_vocabulary": ("HFVocabulary",),
    "thinkpace.adapters.llama_cpp": ("logits_processors",),
    "thinkpace.adapters.llama_cpp_engine": ("LlamaCppEngine",),
    "thinkpace.adapters.scripted": ("ScriptedEngine",),
    "thinkpace.adapters.segmented": ("SegmentedEngine",),
    "thinkpace.adapters.tensor": (),
    "thinkpace.adapters.vllm": ("VLLMEngine", "extra_args"),
    "thinkpace.adapters.vllm_engine": ("VLLMEngine",),
    "thinkpace.adapters.vllm_middleware": ("ReceiptMiddleware",),
    "thinkpace.adapters.vllm_terms": ("extra_args",),
    "thinkpace.errors": ("MissingExtra", "NoLegalToken", "UnsupportedControl"),
    "thinkpace.eval.embedded": ("path",),
    "thinkpace.eval.executors": ("Here", "Processes"),
    "thinkpace.eval.inspect_bridge": (),
    "thinkpace.eval.journal": ("Journal",),
    "thinkpace.eval.lm_eval_bridge": (),
    "thinkpace.eval.plan": ("Card", "Plan"),
    "thinkpace.eval.publishing": ("publish",),
    "thinkpace.eval.settings": ("Setting",),
    "thinkpace.eval.sweep": ("run",),
    "thinkpace.eval.tasks": ("task_of",),
    "thinkpace.processors": ("Completion", "Engine", "Request", "Sampling"),
    "thinkpace.prompts": ("STEP_BY_STEP", "Prompt", "load_shots"),
    "thinkpace.prompts.styles": ("STEP_BY_STEP",),
    "thinkpace.types": ("Receipt",),
}
#: of these paths, the libraries that they need and that may be missing where tests run
NEEDED = {
    "thinkpace.adapters.llama_cpp": "llama_cpp",
    "thinkpace.adapters.llama_cpp_engine": "llama_cpp",
    "thinkpace.adapters.segmented": "openai",
    "thinkpace.adapters.vllm_middleware": "vllm",
    "thinkpace.eval.inspect_bridge": "inspect_ai",
    "thinkpace.eval.lm_eval_bridge": "lm_eval",
}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_importing_thinkpace_loads_nothing_slow() -> None:
    loaded = modules_after("import thinkpace, thinkpace.prompts")
    assert "thinkpace" in loaded
    assert not loaded & SLOW_TO_IMPORT


def test_the_scripted_engine_needs_numpy_only() -> None:
    assert modules_after("import thinkpace.adapters.scripted, thinkpace.testing") & SLOW_TO_IMPORT == {"numpy"}


@pytest.mark.parametrize("command", [["--help"], ["sweep", "--help"], ["serve", "--help"]])
def test_help_loads_nothing_that_works(command: list[str]) -> None:
    """Half a second for a list of options would be too long to wait."""
    loaded = modules_after(
        f"import sys\nsys.argv = ['thinkpace', *{command}]\nfrom thinkpace.eval.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert "typer" in loaded
    assert not loaded & (SLOW_TO_IMPORT - {"typer", "pydantic"})  # typer looks for pydantic types itself


@pytest.mark.parametrize("module", EARLIER)
def test_earlier_paths_work(module: str) -> None:
    """README and docs named them before the rooms; people have them in their scripts."""
    if module in NEEDED:
        pytest.importorskip(NEEDED[module], reason=f"{NEEDED[module]} is not installed")
    for name in EARLIER[module]:
        assert getattr(importlib.import_module(module), name) is not None


def test_the_path_that_vllm_is_given() -> None:
    """`vllm serve --logits-processors thinkpace.adapters.vllm:ThinkpaceLogitsProcessor`"""
    pytest.importorskip("vllm", reason="vllm is not installed")
    assert isinstance(importlib.import_module("thinkpace.adapters.vllm").ThinkpaceLogitsProcessor, type)


def test_no_folder_is_imported_under_a_bare_name() -> None:
    """A bare import would make a second copy of every class: `isinstance` would then fail without a word."""
    import thinkpace.eval.runs.run

    assert thinkpace.eval.runs.run.__name__ == "thinkpace.eval.runs.run"
    assert not set(FOLDERS) & set(sys.modules)


def test_every_module_can_be_listed() -> None:
    for folder in FOLDERS:
        assert (PACKAGES[folder] / "__init__.py").is_file(), f"{folder} is missing from the package"
    for path in MODULES:
        assert (path.parent / "__init__.py").is_file(), f"{path.parent} would be left out of a wheel"
    assert (ROOT / "py.typed").is_file()
    assert (PACKAGES["eval"] / "embedded" / "hf" / "model.safetensors").is_file(), "the embedded model is missing"
    assert (PACKAGES["eval"] / "embedded" / "MODEL_CARD.md").is_file()


def test_no_folder_holds_more_than_sixteen_modules() -> None:
    counts = Counter(path.parent for path in MODULES if path.parent != ROOT)
    assert max(counts.values()) <= 16, counts.most_common(3)


def test_public_names_are_there() -> None:
    for module in (thinkpace, processors, prompts, thinkpace.testing):
        assert sorted(module.__all__) == sorted(set(module.__all__))
        for name in module.__all__:
            assert hasattr(module, name)


def test_controls_are_exported_everywhere() -> None:
    """Type checkers want the names written out: this is where they are compared with the table."""
    names = {kind.__name__ for kind in controls.CONTROLS}
    assert set(controls.__all__) == names
    assert names <= set(processors.__all__)
    assert names <= set(thinkpace.__all__)


def test_every_extra_that_a_message_names_exists() -> None:
    """One message named an extra that had never been there."""
    if not (CHECKOUT / "pyproject.toml").is_file():
        pytest.skip("no pyproject.toml here")
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    calls = [
        (path, node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "MissingExtra"
    ]
    assert len(calls) > 20
    for path, call in calls:
        assert isinstance(call.args[1], ast.Constant), f"{path}: write the extra as a literal"
        assert call.args[1].value in extras, path


@pytest.mark.parametrize(
    ("missing", "statement", "extra"),
    [
        ("typer", "from thinkpace.eval.__main__ import main; main()", "eval"),
        ("pydantic", "import thinkpace; thinkpace.sweep()", "eval"),
        ("torch", "from thinkpace.adapters.hf import logits_processors", "hf"),
        ("transformers", "from thinkpace.adapters.hf import HFEngine", "hf"),
        ("openai", "import thinkpace.adapters.segmented", "client"),
        (
            "openai",
            "from thinkpace.adapters.vllm import VLLMEngine; VLLMEngine.connect('http://127.0.0.1:1', tokenizer='')",
            "client",
        ),
    ],
)
def test_a_missing_part_is_named_with_its_command(missing: str, statement: str, extra: str) -> None:
    """The command works where thinkpace came from: a clone, a wheel, an index."""
    code = f"import sys\nsys.modules[{missing!r}] = None\n{statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    said = done.stderr.splitlines()[-1]
    assert "pip install " in said
    assert f"[{extra}]'" in said
    if "main()" in statement:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_python_dash_m() -> None:
    done = subprocess.run([sys.executable, "-m", "thinkpace", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"thinkpace {thinkpace.__version__}"

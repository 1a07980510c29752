"""Every control is complete, and controls of other packages are known by their entry points."""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from support.conformance import CASES
from support.places import ROOT
from support.strategies import controls

from thinkpace import Control, control_from_json, controls_from_text, controls_from_toml
from thinkpace.processors import CONTROLS, Binding, Processor, catalog, compile_program
from thinkpace.processors.spec import check_kept
from thinkpace.testing import MARKERS, VOCABULARY

Install = Callable[..., None]

SOURCE = """
from dataclasses import dataclass
from thinkpace import Control
from thinkpace.processors import KEEP, Processor

class KeepAll(Processor):
    def init(self, track): return 0
    def decide(self, state, track): return KEEP

@dataclass(frozen=True, slots=True, repr=False)
class {name}(Control):
    number: int = 1
    def compile(self, binding): return KeepAll()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with an entry point on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = set(sys.modules)

    def installed(package: str, announced: str, name: str | None = None, source: str = SOURCE) -> None:
        (tmp_path / f"{package}.py").write_text(source.format(name=name or announced))
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[thinkpace.controls]\n{announced} = {package}:{name or announced}\n")
        importlib.invalidate_caches()
        catalog._announced.cache_clear()

    yield installed
    catalog._announced.cache_clear()
    for module in set(sys.modules) - modules:
        del sys.modules[module]


def test_a_control_of_another_package_is_known_everywhere(install: Install) -> None:
    install("more_controls", "Strange")
    assert "Strange" in catalog.names()
    [control] = controls_from_text("strange(7)")
    assert repr(control) == "Strange(number=7)"
    assert control_from_json(control.to_json()) == control
    assert controls_from_toml('[[controls]]\ncontrol = "Strange"\nnumber = 7') == (control,)
    assert controls_from_text("LoopBreaker + during('answer', Strange)")[1].to_json()["inner"]["control"] == "Strange"
    assert pickle.loads(pickle.dumps(control)) == control


def test_a_name_that_stands_twice_names_both_packages(install: Install) -> None:
    install("one_package", "Strange")
    install("other_package", "Strange")
    with pytest.raises(
        ValueError, match=r"'Strange' is announced by (one|other)_package .* and (one|other)_package .*: uninstall"
    ):
        controls_from_text("Strange")
    assert controls_from_text("LoopBreaker")  # and all else works


def test_a_name_of_ours_cannot_be_taken(install: Install) -> None:
    install("a_thief", "LoopBreaker")
    with pytest.raises(ValueError, match="'LoopBreaker' is announced by thinkpace and a_thief"):
        controls_from_text("LoopBreaker")


@pytest.mark.parametrize(
    ("announced", "name", "source", "message"),
    [
        ("Strange", None, "import nothing_of_that_name", "Strange of broken .* cannot be loaded: No module named"),
        ("Strange", None, "raise SystemExit(3)", "Strange of broken .* cannot be loaded"),
        ("Strange", None, "x = 1", "Strange of broken .* cannot be loaded: .*no attribute 'Strange'"),
        ("Strange", None, "{name} = int", "announces Strange as a control, and it is <class 'int'>"),
        ("Strange", "Other", SOURCE, "announces Strange, and the class is called Other"),
    ],
)
def test_a_broken_package_breaks_its_own_control_only(
    install: Install, announced: str, name: str | None, source: str, message: str
) -> None:
    install("broken", announced, name, source)
    with pytest.raises(ValueError, match=message):
        controls_from_text("Strange")
    with pytest.raises(ValueError, match=r"unknown control 'Nonsense'; known are ThinkBudget, .*Strange"):
        controls_from_text("Nonsense")
    assert controls_from_text("LoopBreaker")


@dataclass(frozen=True, slots=True, repr=False)
class Homeless(Control):
    """Announced by no package."""

    def compile(self, binding: Binding) -> Processor[Any]:
        raise AssertionError


def test_a_control_that_no_package_announces_cannot_be_kept() -> None:
    """Journals, requests and workers hold controls as text: what does not come back is refused before it runs."""
    with pytest.raises(ValueError, match=r"Homeless\(\) cannot be kept .*entry point .*'thinkpace.controls'"):
        check_kept(Homeless())


# a kind of control is complete


@pytest.mark.parametrize("kind", CONTROLS)
def test_it_has_a_case_for_all_engines(kind: type[Control]) -> None:
    assert any(isinstance(control, kind) for case in CASES.values() for control in case.controls)


@pytest.mark.parametrize("kind", CONTROLS)
def test_it_has_a_strategy_for_the_laws(kind: type[Control]) -> None:
    quick = settings(max_examples=5000, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    assert isinstance(find(controls(), lambda control: isinstance(control, kind), settings=quick), kind)


@pytest.mark.parametrize("kind", CONTROLS)
def test_it_has_examples_that_come_back_from_text(kind: type[Control]) -> None:
    assert kind.examples()
    for control in kind.examples():
        assert controls_from_text(repr(control)) == (control,)


@pytest.mark.parametrize("kind", CONTROLS)
def test_it_has_a_device_form_or_says_why_not(kind: type[Control]) -> None:
    pytest.importorskip("torch", reason="device forms are of torch")
    import torch

    from thinkpace.adapters.device.program import DeviceProgram

    for case in CASES.values():
        for control in case.controls:
            if type(control) is kind and getattr(control, "rule", None) != "trial":
                DeviceProgram(compile_program((control,), VOCABULARY, MARKERS[0]), VOCABULARY, torch.device("cpu"))


@pytest.mark.parametrize("kind", CONTROLS)
def test_its_docstring_names_its_source(kind: type[Control]) -> None:
    assert kind.__doc__ is not None
    assert re.search(r"^\s*Source: \S", kind.__doc__, re.MULTILINE), kind.__name__


@pytest.mark.parametrize("kind", CONTROLS)
def test_it_has_three_cases_by_hand(kind: type[Control]) -> None:
    folder = Path(__file__).parent / "controls"
    file = "gates" if kind.__module__.endswith(".gates") else kind.__module__.rpartition(".")[2]
    assert (folder / f"test_{file}.py").read_text().count("run_case(") >= 3


def test_the_pages_list_all_of_them() -> None:
    """The tables of README and docs/controls.md are written by this script, and nobody else."""
    if not (ROOT / "docs").is_dir():
        pytest.skip("no docs here")
    import list_controls

    assert list_controls.outdated(ROOT) == []

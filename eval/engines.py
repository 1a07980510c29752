"""Choose and open the engine of a model, and read its files without loading weights."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkpace.adapters.vocabularies.model_files import ModelFiles
from thinkpace.engine import Engine
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.eval import embedded
from thinkpace.processors.text.markers import Markers

if TYPE_CHECKING:
    from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
    from thinkpace.adapters.vllm.engine import VLLMEngine

HF, LLAMA_CPP, VLLM = "hf", "llama.cpp", "vllm"
ENGINES = (HF, LLAMA_CPP, VLLM)
EMBEDDED_PARALLEL = 32  # sequences of the embedded model at once; they need little memory


def engine_kind(name: str | None, model: str) -> str:
    """The engine that runs a model: the named one, else the one that fits the model's format.

    Args:
        name: one of `ENGINES`; None to choose.
        model: a path or a name.

    Raises:
        ValueError: for an unknown name, or if the engine cannot read the model's format.
    """
    if name is not None and name not in ENGINES:
        raise ValueError(f"--engine must be one of {', '.join(ENGINES)}, got {name!r}")
    is_gguf = model.endswith(".gguf")
    if name == VLLM and is_gguf:
        raise ValueError(f"{model!r} is a GGUF file: that is for --engine {LLAMA_CPP}, or {HF}, which makes it larger")
    inside = sorted(Path(model).glob("*.gguf")) if Path(model).is_dir() else []
    if inside and not (Path(model) / "config.json").is_file():
        raise ValueError(f"{model!r} is a folder of GGUF files: name one of them, such as {str(inside[0])!r}")
    if name == LLAMA_CPP and not is_gguf and model != embedded.NAME:
        raise ValueError(f"--engine {LLAMA_CPP} needs a .gguf file, got {model!r}")
    if name is not None:
        return name
    no_torch = importlib.util.find_spec("torch") is None and importlib.util.find_spec("llama_cpp") is not None
    return LLAMA_CPP if is_gguf or (no_torch and model == embedded.NAME) else HF


def open_engine(
    model: str,
    kind: str,
    markers: Markers | None,
    parallel: int | None = None,
    *,
    context_tokens: int | None = None,
    threads: int = 0,
    gpu_layers: int = 0,
) -> Engine:
    """Open an engine and load its model.

    Args:
        model: a folder, a hub name, a .gguf file, or "embedded".
        kind: one of `ENGINES`.
        markers: of thinking; None to find them in the chat template.
        parallel: sequences at once; None for the engine's default.
        context_tokens: maximum length of one sequence; None for the engine's default.
        threads: of the CPU; 0 for one per CPU that is free when the model is loaded.
        gpu_layers: layers kept on a GPU by llama.cpp; -1 for all.

    Raises:
        MissingExtra: if the engine is not installed.
        ValueError: if there is no such model, or the engine has no such option.
        UnsupportedControl: if the markers cannot be found.
    """
    if kind == LLAMA_CPP:
        return open_llama_cpp(model, markers, parallel, context_tokens, threads, gpu_layers)
    if gpu_layers:
        raise ValueError(f"--gpu-layers is an option of --engine {LLAMA_CPP}, not of {kind}")
    if kind == VLLM:
        if threads:
            raise ValueError("--threads is no option of --engine vllm: it binds threads by VLLM_CPU_OMP_THREADS_BIND")
        return _open_vllm(model, markers, parallel, context_tokens)
    if context_tokens is not None:
        raise ValueError(f"--context is no option of --engine {HF}: its cache grows with the sequence")
    return _open_hf(model, markers, parallel, threads)


def _open_hf(model: str, markers: Markers | None, parallel: int | None, threads: int) -> Engine:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        from thinkpace.adapters.free_cpus import free_cpus
        from thinkpace.adapters.hf.engine import HFEngine, set_threads
    except ModuleNotFoundError as error:
        raise MissingExtra("generating with transformers", "hf") from error
    set_threads(threads or free_cpus())
    size = {} if parallel is None else {"batch_size": parallel}
    if model == embedded.NAME:
        return HFEngine.from_path(embedded.path("hf"), markers=markers, name=embedded.ENGINE_NAMES[HF], **size)
    if Path(model).is_dir() and not (Path(model) / "config.json").is_file():
        raise ValueError(f"there is no model in the folder {model!r}: it has no config.json")
    try:
        return HFEngine.from_path(model, markers=markers, **size)
    except (UnsupportedControl, MissingExtra):
        raise
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"there is no model {model!r} that transformers can load ({reason})") from None


def open_llama_cpp(
    model: str,
    markers: Markers | None = None,
    parallel: int | None = None,
    context_tokens: int | None = None,
    threads: int = 0,
    gpu_layers: int = 0,
) -> LlamaCppEngine:
    """Open the llama.cpp engine.

    The embedded model gets a float32 cache and no flash attention, so that it agrees with transformers.

    Args:
        model: a .gguf file, or "embedded".
        markers: of thinking; None to find them in the chat template.
        parallel: sequences at once; None for the default: 4, or 32 for the embedded model.
        context_tokens: of one sequence; None for the engine's default.
        threads: 0 for one per CPU that is free when the model is loaded.
        gpu_layers: layers kept on a GPU; -1 for all.
    """
    from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine

    if model == embedded.NAME:
        return LlamaCppEngine(
            embedded.path("gguf"),
            markers=markers,
            parallel=EMBEDDED_PARALLEL if parallel is None else parallel,
            context_tokens=context_tokens,
            threads=threads,
            cache_type="f32",
            flash_attention=False,
            name=embedded.ENGINE_NAMES[LLAMA_CPP],
        )
    return LlamaCppEngine(
        model,
        markers=markers,
        parallel=4 if parallel is None else parallel,
        context_tokens=context_tokens,
        threads=threads,
        gpu_layers=gpu_layers,
    )


def _open_vllm(model: str, markers: Markers | None, parallel: int | None, context_tokens: int | None) -> VLLMEngine:
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:  # a mere folder named vllm has no origin
        raise MissingExtra("generating with vLLM", "vllm")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from thinkpace.adapters.vllm.engine import VLLMEngine

    path, arguments = model, dict[str, Any]()
    if parallel is not None:
        arguments["max_num_seqs"] = parallel
    if context_tokens is not None:
        arguments["max_model_len"] = context_tokens
    if model == embedded.NAME:  # float32, so that it agrees with transformers; eager, since compiling takes longer
        path = str(embedded.path("hf"))
        arguments |= {"name": embedded.ENGINE_NAMES[VLLM], "dtype": "float32", "enforce_eager": True}
        arguments |= {"kv_cache_memory_bytes": 1 << 30}  # by default vLLM requires nearly all memory to be free
    try:
        return VLLMEngine.from_path(path, markers=markers, **arguments)
    except RuntimeError as error:
        raise ValueError(
            f"vLLM did not start with {model!r} ({error}): its own log, above, says why. Where it wants more memory "
            "than is free, VLLM_CPU_KVCACHE_SPACE=4 gives its cache 4 GiB of a CPU's"
        ) from error


def read_model(model: str, kind: str) -> ModelFiles:
    """Read the files of a model, without its weights.

    Args:
        model: as for `open_engine`.
        kind: one of `ENGINES`.

    Raises:
        MissingExtra: if the engine is not installed.
        ValueError: if there is no such model.
    """
    if kind == LLAMA_CPP:
        from thinkpace.adapters.llama_cpp.vocabulary import read_gguf

        return read_gguf(embedded.path("gguf") if model == embedded.NAME else model)
    from thinkpace.adapters.vocabularies.hf_files import read_model_files

    return read_model_files(embedded.path("hf") if model == embedded.NAME else model)

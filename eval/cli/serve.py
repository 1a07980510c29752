"""`thinkpace serve`: an OpenAI-compatible server on llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkpace.eval import embedded
from thinkpace.eval.cli import options


def serve(
    model: options.Model = embedded.NAME,
    engine: Annotated[
        str,
        typer.Option(help="Engine: only llama.cpp; vLLM has its own server.", rich_help_panel=options.MODEL),
    ] = "llama.cpp",
    parallel: options.Parallel = None,
    context: options.Context = None,
    threads: options.Threads = 0,
    gpu_layers: options.GpuLayers = 0,
    open_marker: options.Open = None,
    close_marker: options.Close = None,
    control: options.Controls = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 serves this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any that is free.")] = 8080,
) -> None:
    """Serve /v1/chat/completions and /v1/completions like OpenAI, with budgets and controls per request.

    --control applies to requests that do not set their own.
    """
    from rich.console import Console

    from thinkpace.eval.engines import LLAMA_CPP, engine_kind, open_llama_cpp
    from thinkpace.eval.sweeps.parse import controls_of, markers_of

    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be between 0 and 65535, got {port}")
    if engine_kind(engine, model) != LLAMA_CPP:
        raise ValueError(f"serve runs with --engine {LLAMA_CPP}; for vLLM use its own server")
    from thinkpace.adapters.serving.app import make_app, run_app

    standing = tuple(item for text in control or () for item in controls_of(text))
    generates = open_llama_cpp(model, markers_of(open_marker, close_marker), parallel, context, threads, gpu_layers)
    served = make_app(generates, controls=standing, name=embedded.NAME if model == embedded.NAME else Path(model).stem)
    run_app(served, host, port, lambda url: Console().print(f"serving on {url}/v1", highlight=False))

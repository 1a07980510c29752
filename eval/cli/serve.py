"""`thinkpace serve`: an OpenAI-compatible server on llama.cpp."""

from __future__ import annotations

import os
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
    max_thinking_tokens: Annotated[
        int | None,
        typer.Option(min=0, help="Ceiling of the thinking tokens of every request, whatever it asks for."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 serves this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any that is free.")] = 8080,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            envvar="THINKPACE_API_KEY",
            show_envvar=True,
            help="Key that clients must send; prefer the environment, since others see command lines. Can be repeated.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name under which the server may be addressed; * allows all. Can be repeated.",
            show_default="on 127.0.0.1 and ::1 localhost and these, else all",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Web page that may ask, such as https://example.org; * allows all. Can be repeated.",
            show_default="none",
        ),
    ] = None,
    max_body_bytes: Annotated[int, typer.Option(min=1, help="Maximum size of a request.")] = 4 << 20,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that running generations get to finish after a stop signal.")
    ] = 30.0,
    log: Annotated[str, typer.Option(help="Line per request on stderr: text, json or none.")] = "text",
) -> None:
    """Serve /v1/chat/completions and /v1/completions like OpenAI, with budgets and controls per request.

    --control applies to every request; a budget or a rule for the answer of the request's own takes its place.
    """
    from rich.console import Console

    from thinkpace.eval.engines import LLAMA_CPP, engine_kind, open_llama_cpp
    from thinkpace.eval.sweeps.parse import controls_of, markers_of

    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be between 0 and 65535, got {port}")
    if log not in ("text", "json", "none"):
        raise ValueError(f"--log must be text, json or none, got {log!r}")
    if any(not key.strip() for key in api_key or ()) or os.environ.get("THINKPACE_API_KEY") == "":
        raise ValueError("--api-key or THINKPACE_API_KEY is empty: leave it out, or give a key")
    if engine_kind(engine, model) != LLAMA_CPP:
        raise ValueError(f"serve runs with --engine {LLAMA_CPP}; for vLLM use its own server")
    from thinkpace.adapters.serving.app import make_app
    from thinkpace.adapters.serving.gate import Access
    from thinkpace.adapters.serving.run import run_app

    local = ("localhost", "127.0.0.1", "[::1]")
    hosts = tuple(name.lower() for name in allowed_host or (local if host in (*local, "::1") else ("*",)))
    access = Access(tuple(api_key or ()), () if "*" in hosts else hosts, tuple(allow_origin or ()), max_body_bytes)
    standing = tuple(item for text in control or () for item in controls_of(text))
    generates = open_llama_cpp(model, markers_of(open_marker, close_marker), parallel, context, threads, gpu_layers)
    served = make_app(
        generates,
        controls=standing,
        name=embedded.NAME if model == embedded.NAME else Path(model).stem,
        max_thinking_tokens=max_thinking_tokens,
        access=access,
        log="json" if log == "json" else "text" if log == "text" else "none",
    )
    ready = Console(highlight=False)
    if not api_key and host not in (*local, "::1"):
        ready.print(f"anybody who reaches {host} may ask: --api-key asks for a key", style="bold red")
    run_app(served, host, port, lambda url: ready.print(f"serving on {url}/v1"), grace_s=grace)

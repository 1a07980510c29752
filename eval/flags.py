"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str, typer.Option(help="Folder or hub name of a transformers model, or a .gguf file; the embedded one by default.")
]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="hf, llama.cpp or vllm; by default what the model's form asks for.")
]
Parallel = Annotated[int | None, typer.Option(help="Sequences at once; by default what the engine chooses.")]
Temperature = Annotated[float, typer.Option(help="0 is greedy.")]
TopP = Annotated[float, typer.Option(help="Nucleus; 1 is off.")]
TopK = Annotated[int, typer.Option(help="0 is off.")]
MinP = Annotated[float, typer.Option(help="Least part of the likeliest token's probability; 0 is off.")]
NewTokens = Annotated[
    int | None, typer.Option(help="Output tokens at most; 800 for the embedded model, else 4096, or what fits.")
]
Reserve = Annotated[
    int | None, typer.Option(help="Of these, tokens kept for the answer; 16 for the embedded model, else 100.")
]
Wait = Annotated[str, typer.Option(help="What is written instead of closing.")]
Final = Annotated[str, typer.Option(help="What is written after a forced close; empty for nothing.")]
Controls = Annotated[
    list[str] | None,
    typer.Option(
        "--control",
        help="Controls as they print, joined by +: 'ThoughtSwitchPenalty(beta=300) + LoopBreaker'; or a .toml file.",
    ),
]
Open = Annotated[str | None, typer.Option("--open", help="Opening marker, where the chat template does not tell.")]
Close = Annotated[str | None, typer.Option("--close", help="Closing marker, likewise.")]

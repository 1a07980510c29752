"""Options that several commands share, with the groups in which `--help` shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MODEL, QUESTIONS, THINKING, SAMPLING, LENGTH, GRADING, RUNNING = (
    "Model and engine",
    "Questions and prompt",
    "Thinking",
    "Sampling",
    "Length",
    "Grading",
    "Running",
)

Model = Annotated[
    str,
    typer.Option(help="Folder or hub name of a transformers model, or a .gguf file.", rich_help_panel=MODEL),
]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="Engine: hf, llama.cpp or vllm.",
        show_default="llama.cpp for a .gguf file, else hf",
        rich_help_panel=MODEL,
    ),
]
Parallel = Annotated[
    int | None,
    typer.Option(
        help="Sequences generated at the same time.", show_default="the engine chooses", rich_help_panel=MODEL
    ),
]
Temperature = Annotated[float, typer.Option(help="Sampling temperature; 0 decodes greedily.", rich_help_panel=SAMPLING)]
TopP = Annotated[
    float, typer.Option(help="Nucleus sampling: keep this much probability; 1 keeps all.", rich_help_panel=SAMPLING)
]
TopK = Annotated[int, typer.Option(help="Keep the k likeliest tokens; 0 keeps all.", rich_help_panel=SAMPLING)]
MinP = Annotated[
    float,
    typer.Option(
        help="Keep tokens with at least this fraction of the likeliest token's probability; 0 keeps all.",
        rich_help_panel=SAMPLING,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.", rich_help_panel=SAMPLING)]
NewTokens = Annotated[
    int | None,
    typer.Option(
        help="Maximum output tokens per sample.",
        show_default="800 for the embedded model, else 4096, or what fits",
        rich_help_panel=LENGTH,
    ),
]
Reserve = Annotated[
    int | None,
    typer.Option(
        help="Output tokens of --max-new-tokens that are reserved for the answer.",
        show_default="16 for the embedded model, else 100",
        rich_help_panel=LENGTH,
    ),
]
Wait = Annotated[
    str, typer.Option(help="Text that a wait writes instead of closing the thinking.", rich_help_panel=THINKING)
]
Final = Annotated[
    str,
    typer.Option(help="Text written after a forced close; an empty text writes nothing.", rich_help_panel=THINKING),
]
Controls = Annotated[
    list[str] | None,
    typer.Option(
        "--control",
        help="Controls joined by +, such as 'ThoughtSwitchPenalty(beta=300) + LoopBreaker'; or a .toml file. Can be "
        "repeated.",
        rich_help_panel=THINKING,
    ),
]
Open = Annotated[
    str | None,
    typer.Option(
        "--open",
        help="Opening marker of thinking, such as '<think>'.",
        show_default="found in the chat template",
        rich_help_panel=MODEL,
    ),
]
Close = Annotated[
    str | None,
    typer.Option(
        "--close",
        help="Closing marker of thinking, such as '</think>'.",
        show_default="found in the chat template",
        rich_help_panel=MODEL,
    ),
]
PromptFile = Annotated[
    Path | None,
    typer.Option(
        help="Text file with your own prompt, in which {question} stands for the question; instead of --prompt.",
        rich_help_panel=QUESTIONS,
    ),
]
Prefill = Annotated[
    str | None,
    typer.Option(
        help="Start of the model's turn, such as '<think>\\n' (\\n is a line break): opens thinking where a model "
        "does not open it itself.",
        rich_help_panel=QUESTIONS,
    ),
]
TemplateArguments = Annotated[
    str | None,
    typer.Option(
        "--chat-template-kwargs",
        help="Arguments of the chat template as a JSON object, such as '{\"enable_thinking\": false}'.",
        rich_help_panel=QUESTIONS,
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Maximum tokens of one sequence, prompt included (llama.cpp and vllm).",
        show_default="what the model was trained with; on llama.cpp 8192 at most",
        rich_help_panel=MODEL,
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        min=0, help="CPU threads (llama.cpp and hf); 0 takes one per CPU that is free.", rich_help_panel=MODEL
    ),
]
GpuLayers = Annotated[
    int,
    typer.Option(min=-1, help="Layers kept on a GPU (llama.cpp); -1 keeps all there.", rich_help_panel=MODEL),
]

"""Published prompts, complete and verbatim, each with its source; known errors are in its note."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from thinkpace.errors import suggestion
from thinkpace.prompts.base import Prompt, load_shots
from thinkpace.prompts.styles import BARE, DIRECT, DRAFT, STEP_BY_STEP

_COD = "sileix/chain-of-draft 2487935, configs/{}.yaml and utils.py compose_request; arXiv 2502.18600"
_BY_WAY_OF = "; the examples as in its copy Rishi2674/chain-of-draft 5f9517e and f40bbd3"
_S1 = "s1, arXiv 2501.19393 v3, and its evaluation code, simplescaling/s1 77272c6, eval"
_SHOTS = Path(__file__).parent / "shots"

_ASK = "Q: {question}\nA: \n"
_BASELINE = (
    "Answer the question directly with a number without unit.\nDo not return any preamble, explanation, or reasoning.\n"
)
_COT = (
    "Think step by step to answer the following question.\n"
    "Return the answer at the end of the response after a separator ####.\n"
)
_DRAFTS = (
    "Think step by step, but only keep minimum draft for each thinking step, with 5 words at most.\n"
    "Return the answer at the end of the response after a separator ####.\n"
)
_YES_OR_NO = (
    "Think step by step, but only keep minimum draft for each thinking step, with 5 words at most.\n"
    'Return the "Yes" or "No" at the end of the response after a separator ####.\n'
)
_DATES = (
    "Think step by step, but only keep minimum draft for each thinking step, with 5 words at most.\n"
    'Use "%m/%d/%Y" format with day and month zero-padded.\n'
    "Return the answer at the end of the response after a separator ####.\n"
)
_SPLIT = "Lines inside the questions are broken as in the original file."

_FIXED = (
    BARE,
    DIRECT,
    STEP_BY_STEP,
    DRAFT,
    Prompt("direct-0shot", _BASELINE + "\n" + _ASK, _COD.format("gsm8k_baseline")),
    Prompt("cot-0shot", _COT + "\n" + _ASK, _COD.format("gsm8k_cot")),
    Prompt(
        "cot-gsm8k",
        _COT + "\n{shots}\n" + _ASK,
        _COD.format("gsm8k_cot"),
        note=_SPLIT + " The shots are those of Wei et al. 2022, arXiv 2201.11903, with #### before the answer.",
        shots=load_shots(_SHOTS / "gsm8k_cot.jsonl"),
    ),
    Prompt(
        "cod-gsm8k",
        _DRAFTS + "\n{shots}\n" + _ASK,
        _COD.format("gsm8k_cod"),
        note=_SPLIT + " The limit of 5 words is a guideline there, and not enforced (DraftLimit enforces it).",
        shots=load_shots(_SHOTS / "gsm8k_cod.jsonl"),
    ),
    Prompt(
        "cod-date",
        _DATES + "\n{shots}\n" + _ASK,
        _COD.format("date_cod") + _BY_WAY_OF,
        note=_SPLIT + " Its errors stand as published: 12/30/2013 for 12/30/2014 in the first example, + for = in the "
        "second, 05/23/194 for 05/23/1943 as the answer of the third.",
        shots=load_shots(_SHOTS / "date_cod.jsonl"),
    ),
    Prompt(
        "cod-sports",
        _YES_OR_NO + "\n{shots}\n" + _ASK,
        _COD.format("sports_cod") + _BY_WAY_OF,
        note="Its errors stand as published: Jamel for Jamal Murray in the fifth example.",
        shots=load_shots(_SHOTS / "sports_cod.jsonl"),
    ),
    Prompt(
        "cod-coin",
        _YES_OR_NO + "\n{shots}\n" + _ASK,
        _COD.format("coin_flip_cod") + _BY_WAY_OF,
        note="The copy's instruction goes on with a sentence on tools that is not the original's, and is left out.",
        shots=load_shots(_SHOTS / "coin_cod.jsonl"),
    ),
    Prompt(
        "cod-0shot",
        _DRAFTS + "\n" + _ASK,
        _COD.format("gsm8k_cod"),
        note="Without shots it collapses: on GSM8K 84.4 % instead of 91.1 (GPT-4o), 65.5 instead of 91.4 (Claude 3.5 "
        "Sonnet), by the paper's own tables.",
    ),
    Prompt(
        "lets-think",
        "Q: {question}\nA: Let's think step by step.",
        "Kojima et al. 2022, arXiv 2205.11916, section 3",
        note="The second call of the original, which asks for the answer alone, is left to the task's extraction.",
    ),
    Prompt(
        "concise-cot",
        "Think step-by-step and be concise.\n{question}",
        "Renze and Guven 2024, arXiv 2401.05618, section II",
        note="The two instructions are the paper's; its system message around them and its example are not here.",
    ),
    Prompt(
        "s1-short",
        "{question}\n\nAnswer after a short amount of thinking. Do not spend excessive time double-checking your work.",
        _S1,
    ),
    Prompt(
        "s1-long",
        "{question}\n\nAnswer after a long amount of thinking. If you feel like you are finished early, spend the "
        "extra time trying to double-check your work until you are absolutely sure that you have the correct answer.",
        _S1,
    ),
    Prompt(
        "nothinking",
        "{question}",
        "Ma et al. 2025, arXiv 2504.09858, section 2",
        prefill="<think>\nOkay, I think I have finished thinking.\n</think>\n\n",
    ),
    Prompt("qwen3-think", "{question} /think", "Qwen3, arXiv 2505.09388, section 4.3"),
    Prompt("qwen3-no-think", "{question} /no_think", "Qwen3, arXiv 2505.09388, section 4.3"),
)

_NUMBERED: Mapping[str, Callable[[int], Prompt]] = {
    "tale": lambda n: Prompt(
        f"tale:{n}",
        f"{{question}} Let's think step by step and use less than {n} tokens:\n",
        "Han et al. 2024, arXiv 2412.18547, figure 1",
        note="A budget below what a question needs makes answers longer (the paper's token elasticity).",
    ),
    "constrained-cot": lambda n: Prompt(
        f"constrained-cot:{n}",
        f"{{question}} Let’s think a bit step by step and limit the answer length to {n} words.",
        "Nayab et al. 2024, arXiv 2407.19825, section 4",
    ),
    "s1-tokens": lambda n: Prompt(
        f"s1-tokens:{n}",
        f"{{question}}\n\nThink for up to {n} tokens.",
        _S1,
        note="Models do not obey: asked for 1,024 s1-32B used 7,939 (the paper's table 12).",
    ),
    "s1-steps": lambda n: Prompt(
        f"s1-steps:{n}",
        f"{{question}}\n\nThink for up to {n} steps.",
        _S1,
        note="Made for a model that was trained with step delimiters; others trade steps for length.",
    ),
}

#: name -> prompt; "tale", "constrained-cot", "s1-tokens" and "s1-steps", which take a number ("tale:50"), are not in it
PROMPTS: Mapping[str, Prompt] = {prompt.name: prompt for prompt in _FIXED}
PROMPT_NAMES = (*PROMPTS, *(f"{name}:N" for name in _NUMBERED))


def named(name: str) -> Prompt:
    """The prompt with this name.

    Args:
        name: one of `PROMPTS`, or one with a number, such as "tale:50".

    Raises:
        ValueError: if there is no such prompt, or its number is not a whole number of at least 1.

    >>> named("s1-tokens:2048").text("2+2=?")
    '2+2=?\\n\\nThink for up to 2048 tokens.'
    """
    if name in PROMPTS:
        return PROMPTS[name]
    kind, _, number = name.partition(":")
    if kind not in _NUMBERED:
        raise ValueError(
            f"there is no prompt {name!r}: take one of {', '.join(PROMPT_NAMES)}{suggestion(name, PROMPT_NAMES)}"
        )
    if not number.isdecimal() or len(number) > 9 or int(number) < 1:
        raise ValueError(f"prompt {kind!r} takes a whole number >= 1, as in '{kind}:50'; got {name!r}")
    return _NUMBERED[kind](int(number))

"""`ThinkBudget`: how many tokens a model may, and must, think."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.core.control import Control


@dataclass(frozen=True, slots=True, repr=False)
class ThinkBudget(Budget):
    """Close the thinking block once `max_tokens` have been spent in it, and not before `min_tokens`.

    At the limit the closing sequence is written token by token; a close that the model has half written is completed,
    not begun again. Below the minimum the model cannot close, and draws something else. Ending the sequence inside
    thinking counts as closing, so that an answer follows. Thinking that is opened again keeps to what is left, and
    cannot be opened when nothing is left. To write "Wait" instead of closing, see `BudgetForcing`.

    Args:
        max_tokens: thinking tokens at most, all blocks together; injected tokens count, markers and the closing
            sequence do not. None or -1: no limit. 0: close at once.
        min_tokens: thinking tokens at least, 0 or more, at most `max_tokens` less `landing`.
        answer_reserve: output tokens kept for the answer inside the request's own limit; thinking is closed early
            enough. Counts only where the limit is known (`max_new_tokens`). Default 100, as s1's evaluation code has.
        landing: the last thinking tokens before the limit (or before the reserve), in which thinking ends at the
            first end of a sentence or line, and in which closing becomes ever more likely. The limit holds anyway.
        landing_boost: what is added to the logit of closing at the last token of the landing, 0 or more; it grows
            from 1/landing of it in equal steps.
        message: written before the closing marker whenever thinking is closed by force, unless the model has begun
            the marker; it belongs to the closing sequence. `QWEN3_MESSAGE` is a preset. None writes nothing.
        context_share: limits thinking to this share of what the model can hold, in (0, 1]; with `max_tokens` the
            smaller holds. Needs an engine that tells how much that is.
        guard: for so many answer tokens after a forced close the model can neither say what starts another thought
            ("Wait", "Alternatively", ...) nor close again; and with any guard thinking is not opened again.
        effort: instead of `max_tokens`: "low", "medium" or "high" (1,024, 4,096, 16,384).
        thinking_token_budget, thinking_budget, reasoning_budget, max_thinking_tokens, budget_tokens: other names of
            `max_tokens`, to be given when it is built; at most one of all of these. Read `max_tokens`.

    Raises:
        TypeError, ValueError: for numbers out of range, an unknown effort, or two names of the limit at once.

    >>> ThinkBudget(512)
    ThinkBudget(max_tokens=512)
    >>> ThinkBudget(reasoning_budget=512) == ThinkBudget(thinking_token_budget=512) == ThinkBudget(512)
    True

    Source: s1 (arXiv 2501.19393 v3, section 3.1), without its texts; the message as in Qwen3's documentation. Counting
    differs from s1's scripts, which re-tokenise text: here the ids that were generated are counted.
    """

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls(1024, landing=64),)

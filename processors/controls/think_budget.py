"""`ThinkBudget`: a maximum and a minimum of thinking tokens."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.core.control import Control


@dataclass(frozen=True, slots=True, repr=False)
class ThinkBudget(Budget):
    """Close thinking at `max_tokens`, and not before `min_tokens`.

    At the limit the closing sequence is written token by token; a close that the model has half written is completed,
    not started again. Below the minimum the model cannot close, and another token is drawn. Ending the sequence inside
    thinking counts as closing, so that an answer follows. If thinking is opened again, it uses what is left of the
    budget; it cannot be opened when nothing is left. To write "Wait" instead of closing, see `BudgetForcing`.

    Args:
        max_tokens: maximum of thinking tokens, over all thinking blocks; injected tokens count, markers and the
            closing sequence do not. None or -1: no limit. 0: close at once.
        min_tokens: minimum of thinking tokens, from 0 to `max_tokens` - `landing`.
        answer_reserve: output tokens reserved for the answer inside `max_new_tokens`; thinking is closed early enough
            to leave them. No effect where `max_new_tokens` is unknown. Default 100, as in s1's evaluation code.
        landing: size, in thinking tokens, of the landing: the stretch before the limit (or before the reserve) in
            which thinking closes at the first end of a sentence or line, and in which closing becomes more and more
            likely. The limit still holds.
        landing_boost: what is added to the logit of closing at the last token of the landing, 0 or more; it grows to
            this value in equal steps, from 1/landing of it.
        message: text written before the closing marker of every forced close, unless the model has already started
            the marker; it belongs to the closing sequence. `QWEN3_MESSAGE` is a preset. None writes nothing.
        context_share: limits thinking to this share of the model's context length, in (0, 1]; with `max_tokens` the
            smaller limit holds. Needs an engine that reports its context length.
        guard: number of answer tokens after a forced close during which the model can neither write an expression
            that starts another thought ("Wait", "Alternatively", ...) nor close again. Any guard above 0 also
            prevents thinking from being opened again, without a time limit.
        hold: number of tokens for which a close waits, at most, for the end of a tool call or of fenced code that is
            open inside thinking; up to 3 more, to end a character. It holds the closes of this control and of others,
            except for the reserve. The receipt says "held". Other controls still act inside the span. Default 0: cut.
        spans: what `hold` waits for: pairs of the texts that begin and end a span. Default: `<tool_call>` to
            `</tool_call>`, and lines of three backticks.
        approximate: where a close of several tokens of plain text cannot be taken back: replace or refuse its last
            token, so that the text goes on behind a half-written marker. Models then tend to copy that.
        effort: instead of `max_tokens`: "minimal", "low", "medium", "high" or "xhigh" (256, 1,024, 4,096,
            16,384, 65,536).
        thinking_token_budget, thinking_budget, reasoning_budget, max_thinking_tokens, budget_tokens: other names of
            `max_tokens`, accepted by the constructor only; give at most one of all of these, and read `max_tokens`.

    Raises:
        TypeError, ValueError: for numbers out of range, an unknown effort, or two names of the limit at once.
        UnsupportedControl: when it is compiled, if `min_tokens` would leave half-written markers behind.

    >>> ThinkBudget(512)
    ThinkBudget(max_tokens=512)
    >>> ThinkBudget(reasoning_budget=512) == ThinkBudget(thinking_token_budget=512) == ThinkBudget(512)
    True

    Source: s1, arXiv 2501.19393 v3, section 3.1, without its texts. The message is the one in Qwen3's documentation.
    Counting differs from s1's scripts, which re-tokenise text: here the generated ids are counted.
    """

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls(1024, landing=64),)

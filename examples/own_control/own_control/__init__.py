"""Two controls for thinkpace."""

from __future__ import annotations

from own_control.question_limit import QuestionLimit
from own_control.wait_limit import WaitLimit

__all__ = ["QuestionLimit", "WaitLimit"]

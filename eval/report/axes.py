"""What the horizontal axis of a plot may show of a setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from thinkpace.eval.stats.results import Result


class Axis(NamedTuple):
    """A quantity of a sample, the mean of a setting."""

    label: str
    of: Callable[[Result], float]


AXES: Mapping[str, Axis] = {
    "thinking": Axis("thinking tokens per sample (mean)", lambda r: r.thinking_tokens_mean),
    "output": Axis("output tokens per sample (mean)", lambda r: r.completion_tokens_mean),
    "generated": Axis("generated tokens per sample, probes included (mean)", lambda r: r.generated_tokens_mean),
    "total": Axis("tokens per sample, prompt and re-reading included (mean)", lambda r: r.total_tokens_mean),
}


def price_axis(price_in: float, price_out: float) -> Axis:
    """What a sample costs.

    Args:
        price_in: of a million tokens that are read, 0 or more.
        price_out: of a million tokens that are generated, 0 or more.

    Raises:
        ValueError: if a price is negative, or both are 0.
    """
    if min(price_in, price_out) < 0 or not price_in + price_out > 0:
        raise ValueError("--price-in and --price-out are prices of a million tokens: 0 or more, and not both 0")

    def price(r: Result) -> float:
        return (price_in * (r.total_tokens_mean - r.generated_tokens_mean) + price_out * r.generated_tokens_mean) / 1e6

    return Axis(f"price per sample, at {price_in:g} and {price_out:g} for a million tokens in and out", price)

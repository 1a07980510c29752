"""Metrics of a server in Prometheus' format, by prometheus-client."""

from __future__ import annotations

from thinkpace.adapters.serving.choices import ChoiceBuilder
from thinkpace.adapters.serving.runner import Runner
from thinkpace.errors import MissingExtra

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
except ModuleNotFoundError as error:
    raise MissingExtra("metrics of a server", "serve") from error

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """Counts of one server, in a registry of its own.

    Args:
        runner: whose sequences are counted.
    """

    def __init__(self, runner: Runner) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "thinkpace_requests", "Requests that were answered", ["path", "status"], registry=registry
        )
        self._tokens = Counter("thinkpace_tokens", "Tokens, by kind", ["kind"], registry=registry)
        self._ends = Counter(
            "thinkpace_thinking_ends",
            "How the thinking of sequences ended: natural, forced (a budget was hit), eos, open, none",
            ["end"],
            registry=registry,
        )
        self._not_held = Counter(
            "thinkpace_controls_not_held", "Sequences in which a control could not act", registry=registry
        )
        self._first = Histogram(
            "thinkpace_time_to_first_token_seconds", "Until the first token", buckets=SECONDS, registry=registry
        )
        self._whole = Histogram(
            "thinkpace_request_seconds", "Of whole requests", ["path"], buckets=SECONDS, registry=registry
        )
        sequences = Gauge("thinkpace_sequences", "Sequences under way", ["state"], registry=registry)
        sequences.labels("waiting").set_function(lambda: runner.waiting)
        sequences.labels("running").set_function(lambda: runner.under_way - runner.waiting)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(path, str(status)).inc()
        self._whole.labels(path).observe(seconds)

    def generated(self, answers: list[ChoiceBuilder]) -> None:
        """The choices of a request were generated."""
        for i, answer in enumerate(answers):
            receipt, times = answer.receipt, answer.ticket.job.times
            usage = receipt.usage
            if i == 0:
                self._tokens.labels("prompt").inc(usage.prompt)
            for kind in ("thinking", "forced", "marker", "answer"):
                self._tokens.labels(kind).inc(getattr(usage, kind))
            self._ends.labels(receipt.end).inc()
            if receipt.notes:
                self._not_held.inc()
            if times:
                self._first.observe(times[0])

    def text(self) -> bytes:
        """All metrics."""
        return generate_latest(self._registry)

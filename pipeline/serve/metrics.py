"""Prometheus metrics with sources that tell the truth: what is, comes from the ledger; what happened, from who saw it.

Counts of tokens, jobs, gas and fees are read from the ledger at each scrape, so they are right after any restart.
Seconds and errors are counted while this process runs, by what the run and the log records say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.base.records import JobState, PinState, TokenState
from pipeline.ledger import Ledger
from pipeline.ledger.sums import gas_and_fees, pin_counts, resent, token_counts, transaction_counts
from pipeline.mint.fees import ETHER

if TYPE_CHECKING:
    from pipeline.flow.run import Outcome

KNOWN_METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH")


class Metrics:
    """The metrics of one service. Whoever sees something tells it here; `text` is what Prometheus reads."""

    def __init__(self, ledger: Ledger) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_LedgerCounts(ledger))

        def counter(name: str, told: str, *labels: str) -> Counter:
            return Counter(name, told, labels, registry=self._registry)

        self._runs = counter("pipeline_runs", "runs that this process ended")
        self._stages = counter("pipeline_stage_seconds", "busy seconds of a stage, in runs that have ended", "stage")
        self._requests = counter("pipeline_http_requests", "requests answered", "method", "status")
        self._seconds = Histogram("pipeline_http_seconds", "seconds until the answer was sent", registry=self._registry)
        self._counting = _Counting(
            counter("pipeline_rpc_errors", "exchanges with a node that gave no usable answer", "method"),
            counter("pipeline_rpc_retries", "reads asked again"),
        )

    def run_ended(self, outcome: Outcome) -> None:
        self._runs.inc()
        for stage, seconds in outcome.seconds.items():
            if stage != "whole":
                self._stages.labels(stage).inc(max(seconds, 0))

    def request_answered(self, method: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in KNOWN_METHODS else "other", str(status)).inc()
        self._seconds.observe(seconds)

    def listen(self) -> None:
        """Count what the RPC client logs from now on."""
        logger = logging.getLogger("pipeline.mint.rpc")
        logger.addHandler(self._counting)
        logger.setLevel(min(logger.level or logging.INFO, logging.INFO))

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Counting(logging.Handler):
    """Counts what the client of nodes tells in the fields `rpc` and `rpc_method` of its records, whatever their words are."""

    def __init__(self, errors: Counter, retries: Counter) -> None:
        super().__init__(logging.INFO)
        self._errors, self._retries = errors, retries

    def emit(self, record: logging.LogRecord) -> None:
        happened = getattr(record, "rpc", None)
        if happened == "error":
            self._errors.labels(str(getattr(record, "rpc_method", ""))).inc()
        elif happened == "retry":
            self._retries.inc()


class _LedgerCounts(Collector):
    """What the ledger has, counted at each scrape."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        tokens = token_counts(self._ledger)
        yield _by(
            "pipeline_tokens", "tokens in each state", "state", {s: tokens.get(s, 0) for s in get_args(TokenState)}
        )
        yield _gauge("pipeline_pin_lag_tokens", "tokens drawn and not pinned yet", tokens.get("generated", 0))
        pins = pin_counts(self._ledger)
        yield _by(
            "pipeline_pins",
            "roots at places, by their last word",
            "state",
            {s: pins.get(s, 0) for s in get_args(PinState)},
        )
        jobs = self._ledger.jobs.counts()
        yield _by("pipeline_jobs", "jobs in each state", "state", {s: jobs.get(s, 0) for s in get_args(JobState)})
        yield _gauge("pipeline_queue_depth", "jobs that wait for their turn", jobs.get("queued", 0))
        gas, wei = gas_and_fees(self._ledger)
        yield _total("pipeline_gas_used", "gas of mined transactions", gas)
        yield _total("pipeline_fees_eth", "fees paid for mined transactions, in ETH", wei / ETHER)
        yield _total("pipeline_transaction_resends", "signed transactions sent again", resent(self._ledger))
        yield _by("pipeline_transactions", "transactions by state", "state", transaction_counts(self._ledger))


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value)


def _total(name: str, told: str, value: float) -> Metric:
    return CounterMetricFamily(name, told, value)


def _by(name: str, told: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family

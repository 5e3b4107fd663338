"""What a worker tells its operator: metrics, liveness and readiness over HTTP, and one log line an occurrence."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from soma.errors import ConfigurationError

__all__ = ["CATALOGUE", "HealthServer", "JsonLines", "Metrics"]

CATALOGUE: Final = {
    "soma_events_total": "Events taken, by their effect",
    "soma_dead_letters_total": "Messages diverted, by the stage that refused them",
    "soma_batches_total": "Batches, by outcome: written, moved (another worker was here) or retried",
    "soma_batch_seconds": "Time from the first message of a batch to its commit",
    "soma_batch_events": "Messages in a batch",
    "soma_lag_messages": "Messages behind the end of the log, by partition",
    "soma_delay_seconds": "Age of the last message written, by the broker's clock",
    "soma_assigned_partitions": "Partitions that this worker owns",
    "soma_is_waiting": "1 while a server is away or dead letters are throttled",
}
"""Every metric, and what it means."""


class Metrics:
    """The metrics of one worker.

    Parameters
    ----------
    projection : str
        The label that all of them carry.
    """

    def __init__(self, projection: str) -> None:
        self.registry = CollectorRegistry()
        self._projection = projection
        self._told: set[int] = set()
        self.events = self._counter("soma_events", "effect")
        self.dead_letters = self._counter("soma_dead_letters", "stage")
        self.batches = self._counter("soma_batches", "outcome")
        self.batch_seconds = Histogram(
            "soma_batch_seconds", CATALOGUE["soma_batch_seconds"], ["projection"], registry=self.registry
        ).labels(projection)
        self.batch_events = Histogram(
            "soma_batch_events",
            CATALOGUE["soma_batch_events"],
            ["projection"],
            registry=self.registry,
            buckets=(1, 3, 10, 30, 100, 300, 1_000, 3_000),
        ).labels(projection)
        self._lag = Gauge(
            "soma_lag_messages", CATALOGUE["soma_lag_messages"], ["projection", "partition"], registry=self.registry
        )
        self.delay = self._gauge("soma_delay_seconds")
        self.assigned = self._gauge("soma_assigned_partitions")
        self.is_waiting = self._gauge("soma_is_waiting")

    def set_lag(self, by_partition: dict[int, int]) -> None:
        """Set the lag of the own partitions, and forget those of others."""
        for partition, lag in by_partition.items():
            self._lag.labels(self._projection, str(partition)).set(lag)
        for partition in self._told - by_partition.keys():
            self._lag.remove(self._projection, str(partition))
        self._told = set(by_partition)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, label: str) -> Callable[[str], Any]:
        counter = Counter(name, CATALOGUE[f"{name}_total"], ["projection", label], registry=self.registry)
        return lambda value: counter.labels(self._projection, value)

    def _gauge(self, name: str) -> Any:
        return Gauge(name, CATALOGUE[name], ["projection"], registry=self.registry).labels(self._projection)


class HealthServer:
    """Answers ``/healthz``, ``/readyz`` and ``/metrics`` from a thread of its own.

    Parameters
    ----------
    address : str
        ``host:port`` to listen on; port 0 takes a free one.
    metrics : Metrics
        What ``/metrics`` prints.
    is_alive, is_ready : callable
        Return None if so, else the reason why not, which is answered with status 503.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on.
    """

    def __init__(
        self,
        address: str,
        metrics: Metrics,
        *,
        is_alive: Callable[[], str | None],
        is_ready: Callable[[], str | None],
    ) -> None:
        checks = {"/healthz": is_alive, "/readyz": is_ready}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Answer one request."""
                if self.path == "/metrics":
                    self._answer(200, metrics.text(), CONTENT_TYPE_LATEST)
                elif self.path in checks:
                    reason = checks[self.path]()
                    body = json.dumps({"ok": reason is None, **({"reason": reason} if reason else {})})
                    self._answer(503 if reason else 200, body.encode(), "application/json")
                else:
                    self._answer(404, b"", "text/plain")

            def _answer(self, status: int, body: bytes, content_type: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Keep quiet: a probe a second is no news."""

        host, _, port = address.rpartition(":")
        try:
            self._server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise ConfigurationError(
                f"{address} cannot be listened on ({error})", "give host:port of your own"
            ) from error
        self._server.daemon_threads = True
        self.address = f"{self._server.server_address[0]!s}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="soma-health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, what happened, and its fields; ids, and never a payload."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = getattr(record, "fields", {})
        line = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)

"""``soma export run-workers``, ``status`` and ``lag``."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections import Counter
from types import FrameType
from typing import Any

import click

from soma.cli.options import as_json, print_json
from soma.errors import SomaError
from soma.state.instant import to_iso
from soma_export.cli.options import deployment
from soma_export.database import migrations
from soma_export.intake import Accepted, take_in
from soma_export.lag import lag_of
from soma_export.telemetry import HealthServer, JsonLines, Metrics
from soma_export.wiring import Deployment
from soma_export.worker import GC_THRESHOLD, WorkerOptions

__all__ = ["lag", "run_workers", "status"]


@click.command("run-workers")
@click.option("--only", type=click.Choice(["kv"]), default="kv", show_default=True, help="Which projection.")
@click.option("--batch", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Most events at once.")
@click.option("--dead-letter-burst", type=click.FloatRange(min=1), default=1_000, show_default=True)
@click.option(
    "--dead-letter-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=10,
    show_default=True,
    help="Most dead letters a second, after the burst; above it the worker waits.",
)
@click.option("--health", metavar="HOST:PORT", help="Answer /healthz, /readyz and /metrics there.")
@click.option("--ready-lag", type=click.IntRange(min=0), default=100_000, show_default=True, help="Ready below it.")
@click.option("--dry-run", is_flag=True, help="Read what is waiting, say what would be taken, and write nothing.")
def run_workers(
    only: str,
    batch: int,
    dead_letter_burst: float,
    dead_letter_rate: float,
    health: str | None,
    ready_lag: int,
    dry_run: bool,
) -> None:
    """Project the log into the stores until SIGTERM; start as many as there are partitions, at most.

    SIGTERM and SIGINT finish the batch at hand; a second one leaves at once. Both lose nothing.
    """
    found = deployment()
    if dry_run:
        say_what_waits(found)
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    gc.set_threshold(GC_THRESHOLD)
    metrics = Metrics(only)
    worker = found.worker(
        options=WorkerOptions(batch_max=batch, ready_lag=ready_lag, max_skew_s=found.settings.max_skew_s),
        metrics=metrics,
        letters=found.letters(burst=dead_letter_burst, per_s=dead_letter_rate),
    )
    signals: Counter[int] = Counter()

    def asked_to_stop(number: int, _: FrameType | None) -> None:
        signals[number] += 1
        if signals.total() > 1:
            os._exit(128 + number)
        worker.stop()

    before = {number: signal.signal(number, asked_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    server = None
    try:
        if health is not None:
            server = HealthServer(health, metrics, is_alive=worker.is_alive, is_ready=worker.is_ready)
            logging.getLogger("soma.export").info("health", extra={"fields": {"address": server.address}})
        worker.run()
    finally:
        if server is not None:
            server.close()
        for number, former in before.items():
            signal.signal(number, former)


def say_what_waits(found: Deployment) -> None:
    """Print what a worker would take and divert, from the cursors to the end of the log."""
    topic = found.log.required(found.topics.events)
    registrations = found.registrations()
    registrations.refresh()
    waiting = lag_of(found)
    starts, ends = {row.partition: row.position for row in waiting}, {row.partition: row.end for row in waiting}
    counted: Counter[str] = Counter()
    for message in found.log.read(topic, starts, ends):
        item = take_in(message, found.codec, registrations.get, found.settings.max_skew_s)
        if isinstance(item, Accepted):
            counted[item.event.type] += 1
        else:
            counted["dead letters"] += 1
            click.echo(f"would be diverted: {item.position}: {item.reason}")
    for name, n in sorted(counted.items()):
        click.echo(f"{name:<20}  {n:,}")
    click.echo(f"{counted.total():,} messages are waiting; nothing was written")


@click.command()
@as_json
def lag(is_json: bool) -> None:
    """Print how far the store is behind the log, for each partition: messages, and seconds."""
    rows = lag_of(deployment())
    if is_json:
        print_json([row.to_dict() for row in rows])
        return
    click.echo("partition    position         end         lag     delay")
    for row in rows:
        delay = "-" if row.delay_s is None else f"{row.delay_s:,.1f} s"
        click.echo(f"{row.partition:>9}{row.position:>12,}{row.end:>12,}{row.lag:>12,}{delay:>10}")
    click.echo(f"{'all':>9}{'':>24}{sum(row.lag for row in rows):>12,}")


@click.command()
@as_json
def status(is_json: bool) -> None:
    """Say whether the servers answer, and what they hold; exit code 1 if something is wrong."""
    found = deployment()
    findings = [checked("kafka", lambda: kafka_status(found)), checked("postgres", lambda: postgres_status(found))]
    if is_json:
        print_json(findings)
    else:
        for finding in findings:
            click.echo(f"{'ok ' if finding['ok'] else 'BAD'}  {finding['name']:<10}  {finding['says']}")
    if not all(finding["ok"] for finding in findings):
        sys.exit(1)


def checked(name: str, check: Any) -> dict[str, Any]:
    """Return what a check says, also where it fails."""
    try:
        return {"name": name, "ok": True, "says": check()}
    except SomaError as error:
        return {"name": name, "ok": False, "says": str(error)}


def kafka_status(found: Deployment) -> str:
    """Return what the log holds, in one line."""
    topic = found.log.required(found.topics.events)
    n = sum(high - low for low, high in found.log.bounds(topic).values())
    registrations = found.registrations()
    registrations.refresh()
    return (
        f"{found.settings.kafka}: {topic.name} ({topic.topic_id}), {topic.n_partitions} partitions, {n:,} messages, "
        f"{len(registrations.events)} namespaces"
    )


def postgres_status(found: Deployment) -> str:
    """Return what the tables hold, in one line."""
    with found.database() as store:
        row = store.execute(
            "SELECT (SELECT count(*) FROM memories WHERE deleted_at IS NULL), (SELECT count(*) FROM memory_links), "
            "(SELECT count(*) FROM dead_letters WHERE retried_at IS NULL), (SELECT max(extract(epoch FROM moved_at)) "
            "FROM cursors WHERE consumer_group = %s)",
            [found.group],
        ).fetchone()
    memories, links, letters, moved = row or (0, 0, 0, None)
    last = "never" if moved is None else to_iso(float(moved))
    return (
        f"schema {found.settings.schema} at migration {migrations()[-1].number:04}: {memories:,} memories, {links:,} "
        f"links, {letters:,} dead letters; last written {last}"
    )

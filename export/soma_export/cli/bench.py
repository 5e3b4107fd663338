"""``soma export bench``: what the workers take a second, on the servers that the environment names."""

from __future__ import annotations

import statistics

import click

from soma.cli.options import as_json, print_json
from soma_export.bench import bench_workers
from soma_export.cli.options import deployment

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure on the servers themselves, in topics and schemas that are gone afterwards."""


@bench.command()
@click.option("--events", type=click.IntRange(100, 10_000_000), default=20_000, show_default=True, help="Memories.")
@click.option("--batch", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Most events at once.")
@click.option("--repeat", type=click.IntRange(1, 100), default=3, show_default=True, help="Rounds; medians count.")
@as_json
def workers(events: int, batch: int, repeat: int, is_json: bool) -> None:
    """Measure a worker beside COPY of the same rows, and beside one transaction an event.

    All of it is done in every round, on the same servers; what is written is compared before a rate is believed.
    """
    found = bench_workers(deployment().settings, n_events=events, batch=batch, n_rounds=repeat)
    if is_json:
        print_json(found.to_dict())
        return
    rows = (
        (f"worker, batches of {batch:,}", found.worker_per_s, ""),
        ("COPY of the same rows", found.copy_per_s, f"the worker has {found.of_copy:.2f} of it"),
        ("one transaction an event", found.one_by_one_per_s, f"the worker has {found.of_one_by_one:.1f} times it"),
    )
    click.echo(f"{events:,} events of {found.event_bytes:,.0f} bytes; events a second, median of {repeat}")
    for name, rates, says in rows:
        click.echo(f"{name:<28}{statistics.median(rates):>10,.0f}  {says}".rstrip())
    half, most = found.visible_after_ms(0.5), found.visible_after_ms(0.99)
    click.echo(f"visible after publish: {half:.1f} ms (p50), {most:.1f} ms (p99)")

"""``soma export replay`` and ``verify``."""

from __future__ import annotations

import sys
import time

import click

from soma.cli.options import as_json, print_json
from soma_export.cli.options import deployment
from soma_export.lag import wait_until_current
from soma_export.replay import replay as replay_log
from soma_export.replay import swap
from soma_export.verify import Report
from soma_export.verify import verify as verify_store

__all__ = ["replay", "verify"]


@click.command()
@click.option("--schema", help="An empty or new schema of Postgres.  [default: the live one's name and _replay]")
@click.option("--swap", "is_swapped", is_flag=True, help="If they verify, put them in the place of the live ones.")
@as_json
def replay(schema: str | None, is_swapped: bool, is_json: bool) -> None:
    """Fold the log from its beginning into empty tables beside the live ones, and verify them."""
    found = deployment()
    target = schema or f"{found.settings.schema}_replay"
    done = replay_log(found, target)
    report = verify_store(found, schema=target)
    retired = None
    if is_swapped and report.is_clean:
        retired = f"{found.settings.schema}_{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}"
        swap(found, target, retired=retired)
    if is_json:
        print_json(
            {
                "schema": target,
                "messages": done.n_messages,
                "seconds": round(done.seconds, 3),
                "retired": retired,
                "verification": report.to_dict(),
            }
        )
    else:
        rate = done.n_messages / done.seconds if done.seconds else 0.0
        click.echo(f"{done.n_messages:,} messages into {target} in {done.seconds:.1f} s ({rate:,.0f} a second)")
        say(report)
        if retired is not None:
            click.echo(f"{target} is {found.settings.schema} now; what was live is {retired}: drop it when you like")
    if not report.is_clean:
        sys.exit(1)


@click.command()
@click.option("--schema", help="Another schema of Postgres than that of the live tables.")
@click.option("--segments", type=click.IntRange(1, 4_096), default=1, show_default=True, help="More need less memory.")
@click.option("--wait", type=click.FloatRange(min=0), default=0, show_default=True, help="Seconds to catch up.")
@as_json
def verify(schema: str | None, segments: int, wait: float, is_json: bool) -> None:
    """Fold the log, and compare every row of the store with it; exit code 1 if one differs."""
    found = deployment()
    if wait:
        wait_until_current(found, wait)
    report = verify_store(found, schema=schema, n_segments=segments)
    if is_json:
        print_json(report.to_dict())
    else:
        say(report)
    if not report.is_clean:
        sys.exit(1)


def say(report: Report) -> None:
    """Print a report."""
    click.echo(
        f"{report.schema}: {report.n_messages:,} messages folded; {report.n_memories:,} memories, {report.n_links:,} "
        f"links and {report.n_events:,} events compared; {report.n_dead_letters:,} dead letters set aside"
    )
    if report.acceptable:
        click.echo(f"{len(report.acceptable):,} dead letters could be taken now: soma export dead-letters retry --all")
    for difference in report.differences[:20]:
        click.echo(f"  {difference}")
    if report.n_differences > 20:
        click.echo(f"  and {report.n_differences - 20:,} more")
    click.echo("the store equals the fold" if report.is_clean else f"{report.n_differences:,} differences")

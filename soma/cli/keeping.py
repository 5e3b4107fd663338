"""``soma pin``, ``forecast``, ``evict`` and ``delete-namespace``: what becomes of memories over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import click

from soma.cli.memories import read_text
from soma.cli.options import as_json, open_memory, print_json, store_options
from soma.math import policy as policies

__all__ = ["delete_namespace", "evict", "forecast", "pin"]

policy_option = click.option(
    "--policy", "policy_file", type=click.Path(path_type=Path, dir_okay=False), help="A policy as JSON."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say which, and change nothing.")


@click.command()
@click.argument("id")
@click.option("--remove", is_flag=True, help="Let it go again.")
@store_options
@as_json
def pin(id: str, remove: bool, is_json: bool, **store: Any) -> None:
    """Keep the memory with ID from being evicted, consolidated or expired."""
    with open_memory(**store) as memory:
        record = memory.unpin(id) if remove else memory.pin(id)
    if is_json:
        print_json(record.to_dict())
    else:
        click.echo(f"{record.id} is {'pinned' if record.pinned else 'not pinned'}")


@click.command()
@click.option("--threshold", default=0.05, show_default=True, help="The score for the query that fits a memory best.")
@click.option("--horizon", help="Until when: ISO 8601.  [default: a year from now]")
@policy_option
@store_options
@as_json
def forecast(threshold: float, horizon: str | None, policy_file: Path | None, is_json: bool, **store: Any) -> None:
    """Say what will fall under a threshold, and when, if nothing is recalled meanwhile."""
    policy = None if policy_file is None else policies.from_json(read_text(policy_file))
    with open_memory(**store, is_read_only=True) as memory:
        found = memory.forecast(threshold, policy=policy, horizon=horizon)
    if is_json:
        print_json(found.to_dict())
        return
    click.echo(str(found))
    for day, count in found.by_day().items():
        click.echo(f"{day}  {count:>6,}")


@click.command()
@click.option("--budget", required=True, type=click.IntRange(min=0), help="How many memories may stay.")
@policy_option
@dry_run_option
@store_options
@as_json
def evict(budget: int, policy_file: Path | None, dry_run: bool, is_json: bool, **store: Any) -> None:
    """Delete the memories of least worth until so many are left; pinned ones stay."""
    policy = None if policy_file is None else policies.from_json(read_text(policy_file))
    with open_memory(**store, is_read_only=dry_run) as memory:
        gone = memory.evict(budget, policy=policy, dry_run=dry_run)
    show(gone, dry_run, is_json)


@click.command("delete-namespace")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@store_options
@as_json
def delete_namespace(name: str, yes: bool, dry_run: bool, is_json: bool, **store: Any) -> None:
    """Delete every memory of the namespace NAME, and of no other; the log keeps what they were."""
    store["namespace"] = store["namespace"] or name
    with open_memory(**store, is_read_only=dry_run) as memory:
        if not (yes or dry_run):
            click.confirm(f"Delete {len(memory):,} memories of namespace {memory.namespace}?", abort=True, err=True)
        gone = memory.delete_namespace(name, dry_run=dry_run)
    show(gone, dry_run, is_json)


def show(gone: list[UUID], is_dry_run: bool, is_json: bool) -> None:
    """Print what was deleted, or would be."""
    if is_json:
        print_json({"dry_run": is_dry_run, "deleted": [str(id) for id in gone]})
        return
    for id in gone[:20]:
        click.echo(str(id))
    if len(gone) > 20:
        click.echo(f"and {len(gone) - 20:,} more")
    click.echo(f"{len(gone):,} memories {'would be' if is_dry_run else 'are'} deleted")

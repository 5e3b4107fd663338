"""``soma pin``, ``forecast``, ``evict``, ``budget``, ``sweep``, ``duplicates``: what becomes of memories over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click

from soma.cli.options import as_json, open_memory, print_json, store_options
from soma.cli.sources import read_text
from soma.math import policy as policies
from soma.state.recall import headline

__all__ = ["budget", "delete_namespace", "duplicates", "evict", "forecast", "pin", "sweep"]

SHOWN: Final = 20
"""How many are listed of each reason; JSON has all."""

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
    show({"evicted": gone}, dry_run, is_json)


@click.command()
@click.argument("count", required=False, type=click.IntRange(min=0))
@click.option("--remove", is_flag=True, help="Let the namespace hold any number.")
@policy_option
@store_options
@as_json
def budget(count: int | None, remove: bool, policy_file: Path | None, is_json: bool, **store: Any) -> None:
    """Keep with the store that a namespace may hold COUNT memories, for sweep to enforce, or say how many it may."""
    if remove and count is not None:
        raise click.UsageError("give a count, or --remove")
    if policy_file is not None and count is None:
        raise click.UsageError("--policy needs a count")
    policy = None if policy_file is None else policies.from_json(read_text(policy_file))
    is_change = remove or count is not None
    with open_memory(**store, is_read_only=not is_change) as memory:
        if is_change:
            memory.set_budget(count, policy=policy)
        kept, n_live = memory.budget, len(memory)
    if is_json:
        terms = None if kept is None else {"memories": kept.n_memories, "policy": kept.policy.to_dict()}
        print_json({"budget": terms, "memories": n_live})
    elif kept is None:
        click.echo(f"any number; there are {n_live:,}")
    else:
        click.echo(f"{kept.n_memories:,} memories of most worth by {kept.policy}; there are {n_live:,}")


@click.command()
@dry_run_option
@store_options
@as_json
def sweep(dry_run: bool, is_json: bool, **store: Any) -> None:
    """Delete what has expired, then what is over the namespace's budget."""
    with open_memory(**store, is_read_only=dry_run) as memory:
        gone = memory.sweep(dry_run=dry_run)
    show(gone, dry_run, is_json)


@click.command()
@click.option("--threshold", default=0.95, show_default=True, help="The least cosine of two that say the same.")
@click.option("--forget", is_flag=True, help="Delete all but the one to keep of each; otherwise nothing changes.")
@store_options
@as_json
def duplicates(threshold: float, forget: bool, is_json: bool, **store: Any) -> None:
    """List memories that say the same as another one of their namespace; with --forget delete them."""
    with open_memory(**store, is_read_only=not forget) as memory:
        titles = {} if is_json else {record.id: headline(record, 60) for record in memory}
        found = memory.forget_duplicates(threshold) if forget else memory.duplicates(threshold)
    n_others = sum(len(group.others) for group in found)
    if is_json:
        print_json({"dry_run": not forget, "groups": [group.to_dict() for group in found]})
        return
    for group in found:
        click.echo(f"{group.keep}  keep  {titles.get(group.keep, '')}")
        for id, similarity in zip(group.others, group.similarities, strict=True):
            click.echo(f"{id}  {similarity:.2f}  {titles.get(id, '')}")
    click.echo(f"{n_others:,} memories say the same as another{', and are deleted' if forget else ''}")


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
    show({"deleted": gone}, dry_run, is_json)


def show(gone: Mapping[str, Sequence[UUID]], is_dry_run: bool, is_json: bool) -> None:
    """Print what was deleted, or would be, by reason."""
    if is_json:
        print_json({"dry_run": is_dry_run, **{reason: [str(id) for id in ids] for reason, ids in gone.items()}})
        return
    for reason, ids in gone.items():
        for id in ids[:SHOWN]:
            click.echo(f"{id}  {reason}")
        if len(ids) > SHOWN:
            click.echo(f"and {len(ids) - SHOWN:,} more {reason}")
    count = sum(map(len, gone.values()))
    click.echo(f"{count:,} memories {'would be' if is_dry_run else 'are'} deleted")

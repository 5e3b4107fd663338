"""``soma remember``, ``recall``, ``forget``, ``consolidate`` and ``stats``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any, Literal

import click

from soma import canonical_json
from soma.cli.options import as_conditions, as_json, as_moment, open_memory, print_json, store_options
from soma.cli.sources import policy_named, presets_or_files
from soma.errors import SerializationError
from soma.math import policy as policies
from soma.math.units import DAY
from soma.state.consolidation import Scales
from soma.state.instant import to_iso
from soma.state.query import Query
from soma.state.recall import Recall

__all__ = ["consolidate", "forget", "recall", "remember", "stats"]


def as_importance(_ctx: click.Context, parameter: click.Parameter, written: str) -> int | Literal["auto"]:
    """Return a whole number, or ``"auto"`` as it stands."""
    if written == "auto":
        return "auto"
    try:
        return int(written)
    except ValueError:
        raise click.BadParameter(f"{written!r} is neither a whole number nor auto", param=parameter) from None


@click.command()
@click.argument("text")
@click.option(
    "--importance",
    "-i",
    default="5",
    show_default=True,
    metavar="INTEGER|auto",
    callback=as_importance,
    help="Raw importance, 0 to 10; auto reads it off the words.",
)
@click.option("--tag", "-t", "tags", multiple=True, help="A label; may be given several times.")
@click.option("--payload", help="A JSON object to keep with the memory; - reads standard input.")
@click.option("--timestamp", help="When it happened: ISO 8601.  [default: now]")
@click.option("--expires-at", help="From when on it is not recalled: ISO 8601.")
@click.option("--pinned", is_flag=True, help="Never evict, consolidate or expire it.")
@store_options
@as_json
def remember(
    text: str,
    importance: int | Literal["auto"],
    tags: tuple[str, ...],
    payload: str | None,
    timestamp: str | None,
    expires_at: str | None,
    pinned: bool,
    is_json: bool,
    **store: Any,
) -> None:
    """Store TEXT as a new memory, and print its id."""
    source = sys.stdin.buffer.read() if payload == "-" else payload
    fields = None if source is None else canonical_json.loads(source)
    if fields is not None and not isinstance(fields, dict):
        raise SerializationError("the payload must be a JSON object")
    with open_memory(**store) as memory:
        record = memory.remember(
            text,
            payload=fields,
            importance=importance,
            tags=tags,
            timestamp=timestamp,
            expires_at=expires_at,
            pinned=pinned,
        )
    if is_json:
        print_json(record.to_dict())
    else:
        click.echo(str(record.id))


@click.command()
@click.argument("query")
@click.option("-k", default=5, show_default=True, help="How many hits at most.")
@click.option(
    "--policy",
    "source",
    default="default",
    show_default=True,
    shell_complete=presets_or_files,
    help="A file or preset.",
)
@click.option("--now", help="Count ages to this time: ISO 8601.")
@click.option("--as-of", help="What would have been recalled then: ISO 8601, or @N for a place in the log.")
@click.option("--tag", "-t", "tags", multiple=True, help="Only memories with this label.")
@click.option("--type", "memory_type", type=click.Choice(policies.MEMORY_TYPES), help="Only memories of this type.")
@click.option("--since", help="Only what happened then or later: ISO 8601.")
@click.option("--until", help="Only what happened before then: ISO 8601.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="PATH=VALUE",
    help="Only memories whose payload has this; also PATH>=VALUE, PATH<=VALUE. The same PATH=... again: any of these.",
)
@click.option("--focus", multiple=True, metavar="ID", help="What is in mind: where the term graph starts. Repeatable.")
@click.option("--reinforce", is_flag=True, help="Record that the hits were recalled.")
@click.option("--explain", is_flag=True, help="Show the formula of each hit with the value of every part.")
@store_options
@as_json
def recall(
    query: str,
    k: int,
    source: str,
    now: str | None,
    as_of: str | None,
    tags: tuple[str, ...],
    memory_type: str | None,
    since: str | None,
    until: str | None,
    conditions: tuple[str, ...],
    focus: tuple[str, ...],
    reinforce: bool,
    explain: bool,
    is_json: bool,
    **store: Any,
) -> None:
    """Print the memories that answer QUERY best, with their scores."""
    with open_memory(**store, is_read_only=not reinforce) as memory:
        hits = memory.recall(
            Query(query, focus=focus),  # type: ignore[arg-type]
            k=k,
            policy=policy_named(source),
            now=now,
            as_of=None if as_of is None else as_moment(as_of),
            tags=tags,
            memory_type=memory_type,
            since=since,
            until=until,
            where=as_conditions(conditions),
            reinforce=reinforce,
        )
    if is_json:
        print_json(recall_to_dict(hits))
        return
    click.echo(repr(hits))
    if explain:
        click.echo(f"\n{hits.search}")
        for time in hits.times:
            click.echo(f"understood {time}")
        for hit in hits:
            click.echo(f"\n{hit.rank}  {hit.record.id}\n{hits.explain(hit.rank)!r}")


@click.command()
@click.argument("id", required=False)
@click.option("--expired", is_flag=True, help="Delete every memory whose time has passed, instead of one.")
@click.option("--reason", default="forgotten", show_default=True, help="Kept in the log.")
@click.option("--dry-run", is_flag=True, help="Say which, and delete nothing.")
@store_options
@as_json
def forget(id: str | None, expired: bool, reason: str, dry_run: bool, is_json: bool, **store: Any) -> None:
    """Delete the memory with ID; its events stay in the log."""
    if (id is None) != expired:
        raise click.UsageError("give an id, or --expired")
    with open_memory(**store, is_read_only=dry_run) as memory:
        if id is None:
            forgotten = [str(gone) for gone in memory.forget_expired(dry_run=dry_run)]
        else:
            forgotten = [str(memory.retrieve(id).record.id)]
            if not dry_run:
                memory.forget(id, reason=reason)
    if is_json:
        print_json({"forgotten": forgotten, "dry_run": dry_run})
        return
    what = forgotten[0] if id is not None else f"{len(forgotten):,} expired memories"
    click.echo(f"would forget {what}" if dry_run else f"forgot {what}")


@click.command()
@click.option("--after", default=30.0, show_default=True, help="Days: what is younger stays as it is.")
@click.option("--ratio", default=2.0, show_default=True, help="How many times as long each band of age is as the last.")
@click.option("--levels", default=8, show_default=True, help="How often the frame is halved for the youngest band.")
@click.option("--now", help="With --dry-run: count ages to this time, ISO 8601.")
@click.option("--dry-run", is_flag=True, help="Say what would become of them, and change nothing.")
@store_options
@as_json
def consolidate(
    after: float, ratio: float, levels: int, now: str | None, dry_run: bool, is_json: bool, **store: Any
) -> None:
    """Represent old memories at coarser scales: one for each cell and band of age."""
    scales = Scales(after * DAY, ratio, levels)
    with open_memory(**store, is_read_only=dry_run) as memory:
        done = memory.consolidate(scales, now=now, dry_run=dry_run)
    if is_json:
        print_json(done.to_dict())
        return
    for record in done.made[:20]:
        known = record.payload["consolidated"]
        text = " ".join((record.text or str(record.id)).split())
        click.echo(
            f"{known['count']:>6,}  {to_iso(known['since'])[:10]} to {to_iso(record.timestamp)[:10]}  {text[:70]}"
        )
    if len(done.made) > 20:
        click.echo(f"and {len(done.made) - 20:,} more")
    click.echo(str(done))


@click.command()
@store_options
@as_json
def stats(is_json: bool, **store: Any) -> None:
    """Count what a namespace holds."""
    with open_memory(**store, is_read_only=True) as memory:
        found = memory.stats()
    if is_json:
        print_json(found)
    else:
        for name, value in found.items():
            click.echo(f"{name:<10}  {value:,}" if isinstance(value, int) else f"{name:<10}  {value}")


def recall_to_dict(hits: Recall) -> dict[str, Any]:
    """Return an answer as JSON values, with the explanation of every hit."""
    return {
        "query": str(hits.query),
        "policy": str(hits.policy),
        "now": hits.now_s,
        "n_candidates": hits.n_candidates,
        "way": hits.way,
        "times": [asdict(time) for time in hits.times],
        "n_visited": hits.n_visited,
        "hits": [{**row, "explanation": hits.explain(i).to_dict()} for i, row in enumerate(hits.to_rows())],
    }

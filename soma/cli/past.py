"""``soma versions``, ``history`` and ``restore``: the past of one memory."""

from __future__ import annotations

from typing import Any

import click

from soma.cli.options import as_json, as_moment, open_memory, print_json, store_options
from soma.errors import NotFoundError
from soma.state.history import Change

__all__ = ["history", "restore", "versions"]


@click.command()
@click.argument("id")
@store_options
@as_json
def versions(id: str, is_json: bool, **store: Any) -> None:
    """List what the memory with ID has been: each time that its record was written or deleted."""
    with open_memory(**store, is_read_only=True) as memory:
        changes = memory.versions(id)
    show(id, changes, is_json)


@click.command()
@click.argument("id")
@store_options
@as_json
def history(id: str, is_json: bool, **store: Any) -> None:
    """List everything that happened to the memory with ID and to its links: position, time, version, effect."""
    with open_memory(**store, is_read_only=True) as memory:
        changes = memory.history(id)
    show(id, changes, is_json)


@click.command()
@click.argument("id")
@click.option("--version", type=int, help="The version that is wanted, as soma versions numbers them.")
@click.option("--as-of", help="Or the last version up to then: ISO 8601, or @N for a place in the log.")
@store_options
@as_json
def restore(id: str, version: int | None, as_of: str | None, is_json: bool, **store: Any) -> None:
    """Bring an old version of the memory with ID back: the last one it had, unless an option says which."""
    with open_memory(**store) as memory:
        record = memory.restore(id, version=version, as_of=None if as_of is None else as_moment(as_of))
        is_at = memory.retrieve(record.id).version
    if is_json:
        print_json({"version": is_at, "record": record.to_dict()})
    else:
        click.echo(f"{record.id} is back, as version {is_at}: {' '.join((record.text or '').split())[:60]}")


def show(id: str, changes: tuple[Change, ...], is_json: bool) -> None:
    """Print changes, or raise where there are none."""
    if not changes:
        raise NotFoundError("memory", id, "the namespace never held it")
    if is_json:
        print_json([change.to_dict() for change in changes])
        return
    for change in changes:
        click.echo(str(change))

"""``soma ingest``: memories from what happened elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from soma.cli.options import as_json, open_memory, print_json, store_options
from soma.ingest import commits_as_memories, load

__all__ = ["ingest"]


@click.group()
def ingest() -> None:
    """Make memories of what happened elsewhere; repeating an import has no effect."""


@ingest.command()
@click.argument("repository", default=".", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), help="Only the last so many commits.")
@store_options
@as_json
def git(repository: Path, limit: int | None, is_json: bool, **store: Any) -> None:
    """Remember the history of a git REPOSITORY: one episode a commit, at the commit's own time."""
    episodes = commits_as_memories(repository, limit=limit, latest_s=time.time())
    with open_memory(**store) as memory:
        done = load(memory, episodes)
    if is_json:
        print_json({"new": done.n_new, "known": done.n_known})
    else:
        click.echo(f"{done.n_new:,} new commits remembered, {done.n_known:,} known before")

"""``soma reembed``: the vectors of a store made again, by another embedder."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from soma.cli.options import StoreFolder, as_json, print_json, settings_of
from soma.factory import reembed as reembed_store

__all__ = ["reembed"]


@click.command()
@click.option("--embedder", required=True, help="What makes the new vectors: hashing, static, minilm or a folder.")
@click.option("--batch", type=click.IntRange(min=1), default=256, show_default=True, help="Texts in a transaction.")
@click.option(
    "--path",
    "-p",
    type=StoreFolder(path_type=Path),
    help="The folder of the store.  [default: SOMA_PATH, or ~/.local/share/soma]",
)
@as_json
def reembed(embedder: str, batch: int, path: Path | None, is_json: bool) -> None:
    """Make the vectors of a store again by another embedder; broken off, it goes on where it stopped."""
    is_seen = sys.stderr.isatty()

    def progress(n_done: int, n_all: int) -> None:
        if is_seen:
            click.echo(f"\r{n_done:,} of {n_all:,} vectors", nl=n_done == n_all, err=True)

    done = reembed_store(settings_of(path), embedder, batch=batch, progress=progress)
    if is_json:
        print_json({"before": done.before, "after": done.after, "made": done.n_made, "moved": done.n_moved})
    else:
        click.echo(f"{done.n_made:,} vectors made by {done.after}, {done.n_moved:,} memories moved")

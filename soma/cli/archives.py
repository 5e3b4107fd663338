"""``soma export-jsonl`` and ``import-jsonl``: a namespace's log to a file and back, byte for byte."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from soma.archive import read_archive
from soma.cli.files import require_free, write_whole
from soma.cli.options import as_json, open_memory, print_json, store_options
from soma.errors import SerializationError

__all__ = ["export_jsonl", "import_jsonl"]


@click.command("export-jsonl")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@store_options
@as_json
def export_jsonl(file: Path, force: bool, is_json: bool, **store: Any) -> None:
    """Write the whole log of a namespace to FILE, one event a line; - is standard output."""
    with open_memory(**store, is_read_only=True) as memory:
        archive = memory.archive()
    if str(file) == "-":
        sys.stdout.buffer.write(archive.to_bytes())
        return
    require_free(file, force)
    write_whole(file, archive.to_bytes())
    if is_json:
        print_json({"namespace": archive.namespace, "events": len(archive.events), "file": str(file)})
    else:
        click.echo(f"{len(archive.events):,} events of namespace {archive.namespace} are in {file}")


@click.command("import-jsonl")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@store_options
@as_json
def import_jsonl(file: Path, is_json: bool, **store: Any) -> None:
    """Append the events of FILE to an empty namespace of the same name; repeating it has no effect."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise SerializationError(f"{file} cannot be read: {error.strerror}") from error
    try:
        archive = read_archive(content)
    except SerializationError as error:
        raise SerializationError(f"{file}: {error}") from None
    store["namespace"] = store["namespace"] or archive.namespace
    with open_memory(**store) as memory:
        n_new = memory.restore_archive(archive, progress=progress if sys.stderr.isatty() else None)
        n_live = len(memory)
    if is_json:
        print_json({"namespace": archive.namespace, "new": n_new, "memories": n_live})
    else:
        click.echo(f"{n_new:,} new events; namespace {archive.namespace} holds {n_live:,} memories")


def progress(n_done: int, n_all: int) -> None:
    """Tell on standard error how far an import is."""
    click.echo(f"\r{n_done:,} of {n_all:,} events", nl=n_done == n_all, err=True)

"""``soma ingest``: memories from what happened elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from soma.cli.importing import refusal_option, run_import, run_options
from soma.cli.options import as_json, store_options
from soma.ingest import (
    Fields,
    commits_as_memories,
    read_chat,
    read_csv,
    read_jsonl,
    read_locomo,
    read_mbox,
)
from soma.memory.writing import MAX_SKEW_S

__all__ = ["ingest"]

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.argument("file", type=click.Path(path_type=Path))
ZONE = click.option("--timezone", help="The zone of times without an offset: UTC, Europe/Berlin.")
_FIELD_OPTIONS = {"text": "text", "time": "timestamp", "id": "id", "importance": "importance", "tags": "tags"}


def field_options(command: Command) -> Command:
    """Add the options that name fields."""
    for field, usual in reversed(_FIELD_OPTIONS.items()):
        is_needed = field in {"text", "time"}
        command = click.option(
            f"--{field}-field",
            default=usual if is_needed else None,
            show_default=is_needed,
            help=f"What holds the {field}" + ("." if is_needed else f"; {usual}, where there is one, if left out."),
        )(command)
    return command


def common_options(command: Command) -> Command:
    """Add what all files have in common."""
    return FILE(refusal_option(run_options(store_options(as_json(command)))))


def latest() -> float:
    """Return the latest time that a store accepts."""
    return time.time() + MAX_SKEW_S


@click.group()
def ingest() -> None:
    """Make memories of what happened elsewhere; repeating an import has no effect."""


@ingest.command()
@click.argument("repository", default=".", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), help="Only the last so many commits.")
@run_options
@store_options
@as_json
def git(repository: Path, limit: int | None, dry_run: bool, progress: bool, is_json: bool, **store: Any) -> None:
    """Remember the history of a git REPOSITORY: one episode a commit, at the commit's own time."""
    run_import(
        lambda _: commits_as_memories(repository, limit=limit, latest_s=time.time()),
        "commits",
        store=store,
        dry_run=dry_run,
        progress=progress,
        is_json=is_json,
    )


@ingest.command()
@common_options
@field_options
@ZONE
def jsonl(file: Path, timezone: str | None, **options: Any) -> None:
    """Remember a FILE of JSON lines: one episode an object, the fields without a place in its payload."""
    run_file(partial(read_jsonl, file, fields=fields_of(options), timezone=timezone), "lines", options)


@ingest.command()
@common_options
@field_options
@click.option("--delimiter", default=",", show_default=True, help="What stands between the cells; \\t is a tab.")
@ZONE
def csv(file: Path, delimiter: str, timezone: str | None, **options: Any) -> None:
    """Remember a FILE of comma-separated values with a header: one episode a row."""
    delimiter = "\t" if delimiter == "\\t" else delimiter
    reader = partial(read_csv, file, fields=fields_of(options), delimiter=delimiter, timezone=timezone)
    run_file(reader, "rows", options)


@ingest.command()
@common_options
@ZONE
def mbox(file: Path, timezone: str | None, **options: Any) -> None:
    """Remember the mail in an mbox FILE: one episode a message, at its own date."""
    run_file(partial(read_mbox, file, timezone=timezone), "messages", options)


@ingest.command()
@common_options
@click.option("--start", help="When a conversation began that says nothing of it: ISO 8601.")
@ZONE
def chat(file: Path, start: str | None, timezone: str | None, **options: Any) -> None:
    """Remember a chat transcript in a FILE, as JSON or as lines: one episode a message."""
    run_file(partial(read_chat, file, start=start, timezone=timezone), "messages", options)


@ingest.command()
@common_options
def locomo(file: Path, **options: Any) -> None:
    """Remember the conversations of LoCoMo in a FILE: one episode a turn."""

    def read(*, on_refusal: Any, latest_s: float) -> Any:  # noqa: ARG001 - its dates are all of the past
        return read_locomo(file, on_refusal=on_refusal)

    run_file(read, "turns", options)


def fields_of(options: dict[str, Any]) -> Fields:
    """Take the names of the fields out of the options."""
    return Fields(**{field: options.pop(f"{field}_field") for field in _FIELD_OPTIONS})


def run_file(read: Callable[..., Any], what: str, options: dict[str, Any]) -> None:
    """Import what a reader of a file yields."""
    asked = {name: options.pop(name) for name in ("dry_run", "progress", "is_json", "on_error")}
    run_import(lambda tell: read(on_refusal=tell, latest_s=latest()), what, store=options, **asked)

"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from soma.cli.completion import namespaces_at_hand
from soma.errors import InvalidParameterError
from soma.factory import Settings, create_memory
from soma.memory import Memory
from soma.state.history import Moment, Position

__all__ = ["as_json", "as_moment", "open_memory", "print_json", "store_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON instead of text.")


def store_options(command: Command) -> Command:
    """Add the options that say which store and namespace a command works on."""
    for option in (
        click.option("--embedder", help="hashing, static, minilm or a folder; by default the store's."),
        click.option(
            "--namespace",
            "-n",
            shell_complete=namespaces_at_hand,
            help="The namespace.  [default: SOMA_NAMESPACE, or default]",
        ),
        click.option(
            "--path",
            "-p",
            type=click.Path(path_type=Path),
            help="The folder of the store.  [default: SOMA_PATH, or ~/.local/share/soma]",
        ),
    ):
        command = option(command)
    return command


def open_memory(
    path: Path | None, namespace: str | None, embedder: str | None, *, is_read_only: bool = False
) -> Memory:
    """Open the memory that the options and the environment name; the options win. Reading alone makes no store."""
    settings = Settings.from_environment()
    return create_memory(
        settings=replace(
            settings,
            path=path or settings.path,
            namespace=namespace or settings.namespace,
            embedder=embedder or settings.embedder,
        ),
        is_read_only=is_read_only,
    )


def as_moment(text: str) -> Moment:
    """Return the instant that a text names, or the place in the log: ``@12``."""
    if not text.startswith("@"):
        return text
    if not text[1:].isdecimal():
        raise InvalidParameterError("as_of", text, "must be ISO 8601, or a place in the log such as @12")
    return Position(int(text[1:]))


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))

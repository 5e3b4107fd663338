"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from soma import canonical_json
from soma.cli.completion import namespaces_at_hand
from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.factory import MemoryMode, Settings, create_memory
from soma.memory import Memory
from soma.state.history import Moment, Position
from soma.state.paths import label
from soma.state.query import AnyOf, Between

__all__ = [
    "StoreFolder",
    "as_conditions",
    "as_json",
    "as_moment",
    "open_memory",
    "print_json",
    "settings_of",
    "store_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON instead of text.")


class StoreFolder(click.Path):
    """The folder of a store: an empty one, as a variable that is not set gives, is not the one at hand."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or raise `ConfigurationError`."""
        if value == "":
            raise ConfigurationError("--path is empty", "name a folder, or leave it out")
        return super().convert(value, param, ctx)


def store_options(command: Command) -> Command:
    """Add the options that say which store and namespace a command works on."""
    for option in (
        click.option("--embedder", help="hashing, static, minilm, a folder or a server; by default the store's."),
        click.option(
            "--namespace",
            "-n",
            shell_complete=namespaces_at_hand,
            help="The namespace.  [default: SOMA_NAMESPACE, or default]",
        ),
        click.option(
            "--path",
            "-p",
            type=StoreFolder(path_type=Path),
            help="The folder of the store.  [default: SOMA_PATH, or ~/.local/share/soma]",
        ),
    ):
        command = option(command)
    return command


def open_memory(
    path: Path | None, namespace: str | None, embedder: str | None, *, is_read_only: bool = False
) -> Memory:
    """Open the memory that the options and the environment name; the options win. Reading alone makes no store.

    Raises
    ------
    ConfigurationError
        If a path is given and the environment names another store, which is in no folder.
    """
    settings = settings_of(path)
    settings = replace(
        settings,
        namespace=settings.namespace if namespace is None else namespace,
        embedder=settings.embedder if embedder is None else embedder,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        memory = create_memory(settings=settings, is_read_only=is_read_only)
    for warning in caught:
        click.echo(f"soma: {warning.message}", err=True)
    return memory


def settings_of(path: Path | None) -> Settings:
    """Return what the environment says, with the folder that an option names.

    Raises
    ------
    ConfigurationError
        If a path is given and the environment names another store, which is in no folder.
    """
    settings = Settings.from_environment()
    if path is None:
        return settings
    for name, is_elsewhere in (
        ("SOMA_MODE", settings.mode is not MemoryMode.DEVELOPMENT),
        ("SOMA_REDIS_URL", settings.redis_url is not None),
    ):
        if is_elsewhere:
            raise ConfigurationError(
                f"--path names a folder, and {name} another store", f"leave --path out, or unset {name}"
            )
    return replace(settings, path=path)


def as_moment(text: str) -> Moment:
    """Return the instant that a text names, or the place in the log: ``@12``."""
    if not text.startswith("@"):
        return text
    if not text[1:].isdecimal():
        raise InvalidParameterError("as_of", text, "must be ISO 8601, or a place in the log such as @12")
    return Position(int(text[1:]))


def as_conditions(written: Iterable[str]) -> dict[str, AnyOf | Between]:
    """Return the filter on payloads that conditions such as ``speaker=Ada`` and ``stars>=3`` say.

    A value is the text as it stands, and with ``=`` also the JSON value that it reads as: 3 is ``"3"`` or 3. The ends
    of a range are numbers if they read as such.
    """
    labels: dict[str, set[str]] = {}
    ranges: dict[str, dict[str, float | str]] = {}
    for condition in written:
        found = re.fullmatch(r"(.+?)(>=|<=|=)(.*)", condition, re.DOTALL)
        if found is None:
            raise InvalidParameterError("where", condition, "must be PATH=VALUE, PATH>=VALUE or PATH<=VALUE")
        path, operator, value = found.groups()
        read = _as_json(value)
        if operator == "=":
            labels.setdefault(path, set()).update({label(value), label(read)})
        else:
            is_number = isinstance(read, int | float) and not isinstance(read, bool)
            ranges.setdefault(path, {})["lower" if operator == ">=" else "upper"] = read if is_number else value
    twice = sorted(labels.keys() & ranges.keys())
    if twice:
        raise InvalidParameterError("where", twice[0], "must have values or a range, not both")
    return {
        **{path: AnyOf(frozenset(known)) for path, known in labels.items()},
        **{path: Between(**ends) for path, ends in ranges.items()},
    }


def _as_json(text: str) -> Any:
    try:
        return canonical_json.loads(text)
    except SerializationError:
        return text


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))

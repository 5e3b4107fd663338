"""A file that is one JSON document from elsewhere: larger than what soma writes, and as strict where it matters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

from soma.errors import SerializationError
from soma.ingest.refusal import open_source

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["MAX_DOCUMENT", "read_bytes", "read_document"]

MAX_DOCUMENT: Final = 1_000_000_000
"""Largest document, in bytes: it is held in memory as a whole."""


def read_bytes(path: Path, what: str) -> bytes:
    """Return what a file holds.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What is expected of it, for errors.

    Returns
    -------
    bytes
        All of it.

    Raises
    ------
    ConfigurationError
        If it cannot be opened.
    SerializationError
        If it is too large.
    """
    with open_source(path, what) as file:
        data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise SerializationError(f"{path.name} has more than {MAX_DOCUMENT:,} bytes: divide it into several files")
    return data


def read_document(data: bytes, name: str, *, line: int | None = None) -> Any:
    """Parse one JSON document.

    Parameters
    ----------
    data : bytes
        UTF-8, with or without a byte order mark.
    name : str
        The file, for errors.
    line : int, optional
        Where the document starts, if it is a line of the file.

    Returns
    -------
    JSON value
        What a memory takes of it is checked where it is taken.

    Raises
    ------
    SerializationError
        If it is no JSON, or holds NaN, an infinity or one key twice.

    Examples
    --------
    >>> read_document(b'{"a": 1, "a": 2}', "chat.json")
    Traceback (most recent call last):
    soma.errors.SerializationError: chat.json: the key 'a' stands twice in one object
    """
    start, here = line or 1, name if line is None else f"{name}, line {line}"
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        at = start + data.count(b"\n", 0, error.start)
        raise SerializationError(f"{name}, line {at}: the document is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        place = f"{name}, line {start + error.lineno - 1}, column {error.colno}"
        raise SerializationError(f"{place}: the document is not JSON: {error.msg}") from error
    except RecursionError:
        raise SerializationError(f"{here}: the document is nested too deeply") from None
    except ValueError as error:  # the hooks', and integers of thousands of digits
        raise SerializationError(f"{here}: {error}") from error


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r:.120} stands twice in one object")
        found[key] = value
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON: numbers must be finite")

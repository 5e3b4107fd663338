"""JSON lines: one object a line, one episode an object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from soma import canonical_json
from soma.errors import SerializationError
from soma.ingest.refusal import Source, open_source
from soma.ingest.rows import Fields, episode_of_row
from soma.ingest.times import as_zone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from os import PathLike

    from soma.ingest.episode import Episode
    from soma.ingest.refusal import OnRefusal
    from soma.state.instant import Instant

__all__ = ["read_jsonl"]

_BOM = b"\xef\xbb\xbf"


def read_jsonl(
    path: str | PathLike[str],
    *,
    fields: Fields | None = None,
    timezone: str | None = None,
    latest_s: Instant | None = None,
    on_refusal: OnRefusal | None = None,
) -> Iterator[Episode]:
    r"""Yield the lines of a file as episodes, in their order.

    Parameters
    ----------
    path : path
        UTF-8: a JSON object a line, of at most a megabyte; lines of white space count for nothing.
    fields : Fields, optional
        What the fields are called.
    timezone : str, optional
        The zone of times without an offset: ``"Europe/Berlin"``. Without it they are refused.
    latest_s : float, aware datetime or str, optional
        The latest time that is believed.
    on_refusal : callable, optional
        Called with the `Refusal` of each line that cannot be taken, and reading goes on.

    Yields
    ------
    Episode
        Its payload holds the fields that have no other place.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened.
    SerializationError
        For the first line that cannot be taken, unless ``on_refusal`` is given.
    InvalidParameterError
        For an unknown time zone.

    Notes
    -----
    Laws: ``property_tests/ingest/test_rows.py``.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "notes.jsonl")
    >>> _ = path.write_text('{"text": "Ada fixed the clock", "timestamp": "1970-01-02", "by": "Bo"}\n{"text": 7}\n')
    >>> list(read_jsonl(path))
    Traceback (most recent call last):
    soma.errors.SerializationError: notes.jsonl, line 2: the fields must have 'timestamp' among them, got ['text']
    """
    source = Source(path, latest_s=latest_s, on_refusal=on_refusal)
    make = partial(_episode, fields=fields or Fields(), zone=as_zone(timezone))
    return source.episodes(_lines(source), make)


def _lines(source: Source) -> Iterator[tuple[str, bytes]]:
    limit = canonical_json.MAX_BYTES + 2
    with open_source(source.path, "a file of JSON lines") as file:
        number = 0
        while line := file.readline(limit):
            number += 1
            rest = line
            while len(rest) == limit and not rest.endswith(b"\n"):  # too long: refused by its length, and never held
                rest = file.readline(limit)
            line = line.removeprefix(_BOM) if number == 1 else line
            if line.strip():
                yield f"line {number}", line


def _episode(line: bytes, fields: Fields, zone: tzinfo | None) -> Episode:
    row: Any = canonical_json.loads(line.rstrip(b"\r\n"))
    if not isinstance(row, dict):
        raise SerializationError("the line must be a JSON object, such as " + '{"text": "...", "timestamp": "..."}')
    return episode_of_row(row, fields, zone)

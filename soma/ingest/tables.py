"""Tables of comma-separated values: a header, then one episode a row."""

from __future__ import annotations

import csv
from functools import partial
from typing import TYPE_CHECKING, Any

from soma.errors import InvalidParameterError, SerializationError
from soma.ingest.refusal import Source, open_source
from soma.ingest.rows import Fields, episode_of_row
from soma.ingest.times import as_zone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from os import PathLike
    from typing import IO

    from soma.ingest.episode import Episode
    from soma.ingest.refusal import OnRefusal
    from soma.state.instant import Instant

__all__ = ["read_csv"]


def read_csv(
    path: str | PathLike[str],
    *,
    fields: Fields | None = None,
    delimiter: str = ",",
    timezone: str | None = None,
    latest_s: Instant | None = None,
    on_refusal: OnRefusal | None = None,
) -> Iterator[Episode]:
    r"""Yield the rows of a table as episodes, in their order.

    Parameters
    ----------
    path : path
        UTF-8, with or without a byte order mark; the first row names the columns; cells are quoted as in RFC 4180,
        and hold at most 131,072 characters. Lines that are empty count for nothing.
    fields : Fields, optional
        What the columns are called.
    delimiter : str
        One character between the cells.
    timezone : str, optional
        The zone of times without an offset. Without it they are refused.
    latest_s : float, aware datetime or str, optional
        The latest time that is believed.
    on_refusal : callable, optional
        Called with the `Refusal` of each row that cannot be taken, and reading goes on.

    Yields
    ------
    Episode
        Its payload holds the other columns, as text. An empty id or importance counts as none; tags are separated by
        semicolons.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened.
    SerializationError
        For a header that lacks a column or names one twice; for the first row that cannot be taken, unless
        ``on_refusal`` is given.
    InvalidParameterError
        For an unknown time zone, or a delimiter that is none.

    Notes
    -----
    Rows are named by the line of the file that they start on. Laws: ``property_tests/ingest/test_rows.py``.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "notes.csv")
    >>> _ = path.write_text("text,timestamp\nAda fixed the clock,1970-01-02\nBo,1970-01-03,7\n")
    >>> list(read_csv(path))
    Traceback (most recent call last):
    soma.errors.SerializationError: notes.csv, line 3: the row has 3 cells, and the header 2
    """
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0 ' or delimiter.isalnum():
        raise InvalidParameterError("delimiter", delimiter, "must be one character such as , or ; or a tab")
    source = Source(path, latest_s=latest_s, on_refusal=on_refusal)
    return _read(source, fields or Fields(), delimiter, as_zone(timezone))


def _read(source: Source, fields: Fields, delimiter: str, zone: tzinfo | None) -> Iterator[Episode]:
    with open_source(source.path, "a table of comma-separated values") as file:
        rows = _rows(_Lines(file), delimiter)
        place, header = next(rows, ("line 1", []))
        if isinstance(header, Exception):
            raise source.error(place, header)
        for wrong, which in (
            ("must name the column", [name for name in fields.required if name not in header]),
            ("names twice the column", [name for i, name in enumerate(header) if name in header[:i]]),
            ("must name every column, and not", [name for name in header if not name]),
        ):
            if which:
                raise source.error(place, f"the header {wrong} {which[0]!r}, and is {header!r:.120}")
        yield from source.episodes(rows, partial(_episode, header=header, fields=fields, zone=zone))


def _rows(lines: _Lines, delimiter: str) -> Iterator[tuple[str, list[str] | Exception]]:
    """Yield rows, and in the place of what is none the error that says so."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        place = f"line {lines.number + 1}"
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield place, SerializationError(f"the row is not comma-separated: {error}")
        except SerializationError as error:
            yield f"line {lines.number}", error
        else:
            if row:
                yield place, row


class _Lines:
    """The lines of a file as text; one that is no UTF-8 raises, and the next one can be read all the same."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.number += 1
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise SerializationError(f"the line is not UTF-8 at byte {error.start + 1}") from error


def _episode(row: list[str] | Exception, header: list[str], fields: Fields, zone: tzinfo | None) -> Episode:
    if isinstance(row, Exception):
        raise row
    if len(row) != len(header):
        raise SerializationError(f"the row has {len(row)} cells, and the header {len(header)}")
    named: dict[str, Any] = dict(zip(header, row, strict=True))
    own, importance, tags = fields.name("id"), fields.name("importance"), fields.name("tags")
    if own in named:
        named[own] = named[own] or None
    if importance in named:
        named[importance] = _integer(importance, named[importance])
    if tags in named:
        named[tags] = [tag.strip() for tag in named[tags].split(";") if tag.strip()]
    return episode_of_row(named, fields, zone)


def _integer(field: str, cell: str) -> int | None:
    text = cell.strip()
    if not text:
        return None
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 16):
        raise InvalidParameterError(field, cell, "must be an integer")
    return int(text)

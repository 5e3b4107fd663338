"""What every reader does with a line that it cannot take: it names the place, and stops or goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from soma import canonical_json
from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.state.instant import LATEST_S, to_iso, to_seconds

if TYPE_CHECKING:
    from typing import IO

    from soma.ingest.episode import Episode
    from soma.state.instant import Instant

__all__ = ["OnRefusal", "Refusal", "Source", "open_source"]

MAX_RECORD: Final = canonical_json.MAX_BYTES - 10_000
"""Largest record that a source may give, in bytes of JSON: its event, with a coordinate, still fits into the log."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line, row or message that was not taken.

    Parameters
    ----------
    source : str
        The file.
    place : str
        Where in it: ``"line 3"``.
    reason : str
        What is wrong, and what is accepted.

    Examples
    --------
    >>> print(Refusal("notes.jsonl", "line 3", "text must hold words, got ''"))
    notes.jsonl, line 3: text must hold words, got ''
    """

    source: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}, {self.place}: {self.reason}"


OnRefusal: TypeAlias = Callable[[Refusal], None]


class Source:
    """A file being read: it checks every episode, and names the place of what it refuses.

    Parameters
    ----------
    path : path
        The file.
    latest_s : float, aware datetime or str, optional
        The latest time that is believed; the end of the year 9999 if left out.
    on_refusal : callable, optional
        Called with each `Refusal`, and reading goes on; without it the first one is raised.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, latest_s: Instant | None = None, on_refusal: OnRefusal | None = None
    ) -> None:
        self.path = Path(path)
        self._latest_s = LATEST_S if latest_s is None else to_seconds("latest_s", latest_s)
        self._on_refusal = on_refusal
        self._seen: dict[int, tuple[str, bytes]] = {}

    @property
    def name(self) -> str:
        """The file's name, for people."""
        return self.path.name.encode("utf-8", "replace").decode()

    def error(self, place: str, reason: object) -> SerializationError:
        """Return the error of a place that nothing can be read after."""
        return SerializationError(str(Refusal(self.name, place, str(reason))))

    def episodes(self, rows: Iterable[tuple[str, Row]], make: Callable[[Row], Episode | None]) -> Iterator[Episode]:
        """Yield the episodes of rows, each with its place; a row of which None is made holds none.

        Raises
        ------
        SerializationError
            For a row that is refused, if nobody is told of refusals.
        """
        for place, row in rows:
            try:
                episode = make(row)
                if episode is not None:
                    self._check(place, episode)
            except (InvalidParameterError, SerializationError) as error:
                refusal = Refusal(self.name, place, str(error))
                if self._on_refusal is None:
                    raise SerializationError(str(refusal)) from error
                self._on_refusal(refusal)
            else:
                if episode is not None:
                    yield episode

    def _check(self, place: str, episode: Episode) -> None:
        """Raise if a store would refuse the episode, or if its id stands for something else in this file."""
        if not episode.text.strip():
            raise InvalidParameterError("the text", episode.text, "must hold words")
        fields: dict[str, Any] = episode.to_record().to_dict()
        data = canonical_json.dumps(fields, max_bytes=MAX_RECORD)
        if episode.timestamp > self._latest_s:
            late = to_iso(episode.timestamp)
            raise InvalidParameterError("the time", late, f"must not lie after {to_iso(self._latest_s)}")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        first, known = self._seen.setdefault(episode.id.int, (place, digest))
        if known != digest:
            raise SerializationError(
                f"its id stands for something else at {first}: an id may come again only unchanged"
            )


def open_source(path: Path, what: str) -> IO[bytes]:
    """Open a file for reading, or raise `ConfigurationError`.

    Parameters
    ----------
    path : Path
        Anything that can be read: a file, a pipe.
    what : str
        What is expected of it: ``"a file of JSON lines"``.

    Returns
    -------
    binary file
        Open.
    """
    shown = str(path).encode("utf-8", "replace").decode()
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise ConfigurationError(f"{shown} does not exist", f"give {what}") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{shown} is a folder", f"give {what}") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{shown} cannot be read ({error})", f"give {what}") from error

"""From a row of named fields to an episode: what JSON lines and tables have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final
from uuid import UUID, uuid5

from soma import canonical_json
from soma.errors import InvalidParameterError
from soma.ingest.episode import Episode
from soma.ingest.times import read_instant
from soma.state.fields import as_importance, as_tags

__all__ = ["DEFAULT_IMPORTANCE", "Fields", "episode_of_row"]

DEFAULT_IMPORTANCE: Final = 5
"""Raw importance of what says nothing of it, as in ``Memory.remember``."""

_ROWS = UUID("2f1c2f6e-6a59-5a52-8f0e-5d3b7a9c4e10")
_USUAL = {"id": "id", "importance": "importance", "tags": "tags"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What the fields of a source are called; all others go into the payload.

    Parameters
    ----------
    text : str
        What is embedded and searched by words. It must be there, and hold words.
    time : str
        When it happened: ISO 8601, or POSIX seconds. It must be there.
    id : str, optional
        The source's own identity, text or an integer. A UUID is taken as it is; of anything else one is made.
    importance : str, optional
        An integer; 5 where it is null or empty.
    tags : str, optional
        Labels.

    Raises
    ------
    InvalidParameterError
        If two fields have one name, or a name is empty.

    Notes
    -----
    The last three are called ``id``, ``importance`` and ``tags`` if left out, and may then be absent; one that is named
    must be there, so that a slip of the pen is found. A row without an id gets one of its content: two rows that are
    alike are one memory.

    Examples
    --------
    >>> Fields(text="note", time="at").name("tags")
    'tags'
    """

    text: str = "text"
    time: str = "timestamp"
    id: str | None = None
    importance: str | None = None
    tags: str | None = None

    def __post_init__(self) -> None:
        names = [self.text, self.time, *(self.name(field) for field in _USUAL)]
        if len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
            raise InvalidParameterError("fields", names, "must be five different names")

    def name(self, field: str) -> str:
        """Return what one of the last three is called.

        Parameters
        ----------
        field : str
            ``"id"``, ``"importance"`` or ``"tags"``.

        Returns
        -------
        str
            The name.
        """
        given: str | None = getattr(self, field)
        return _USUAL[field] if given is None else given

    @property
    def required(self) -> tuple[str, ...]:
        """The names that every row must have."""
        named = (self.id, self.importance, self.tags)
        return (self.text, self.time, *(name for name in named if name is not None))


def episode_of_row(row: Mapping[str, Any], fields: Fields, zone: tzinfo | None) -> Episode:
    """Return the episode of one row.

    Parameters
    ----------
    row : mapping
        JSON values by the names of their fields.
    fields : Fields
        What they are called.
    zone : tzinfo, optional
        Of times without an offset.

    Returns
    -------
    Episode
        Its payload is what is left of the row.

    Raises
    ------
    InvalidParameterError
        For a field that is missing or outside its domain, by the source's name for it.

    Examples
    --------
    >>> episode_of_row({"text": "Ada fixed the clock", "timestamp": 0, "by": "Bo"}, Fields(), None).payload
    {'by': 'Bo'}
    """
    missing = [name for name in fields.required if name not in row]
    if missing:
        raise InvalidParameterError("the fields", sorted(row), f"must have {missing[0]!r} among them")
    payload = dict(row)
    text = payload.pop(fields.text)
    if not isinstance(text, str) or not text.strip():
        raise InvalidParameterError(fields.text, text, "must be a text that holds words")
    timestamp = read_instant(fields.time, payload.pop(fields.time), zone)
    own, raw, labels = (payload.pop(fields.name(field), None) for field in _USUAL)
    try:
        importance = DEFAULT_IMPORTANCE if raw is None else as_importance(raw)
        tags = as_tags(() if labels is None else labels)
    except InvalidParameterError as error:
        raise InvalidParameterError(fields.name(error.parameter), error.value, error.requirement) from error
    content = {"text": text, "at": timestamp, "importance": importance, "tags": tags, "payload": payload}
    return Episode(
        id=_content_id(content) if own is None else _own_id(fields.name("id"), own),
        text=text,
        timestamp=timestamp,
        importance=importance,
        payload=payload,
        tags=tags,
    )


def _own_id(field: str, own: object) -> UUID:
    if isinstance(own, bool) or not isinstance(own, str | int) or own == "":
        raise InvalidParameterError(field, own, "must be a text or an integer")
    if isinstance(own, str):
        canonical_json.require_text(own, field)
        try:
            return UUID(own)
        except ValueError:
            pass
    return uuid5(_ROWS, f"id {own}")


def _content_id(content: Mapping[str, Any]) -> UUID:
    return uuid5(_ROWS, f"content {hashlib.sha256(canonical_json.dumps(content)).hexdigest()}")

"""Mail: the messages of an mbox file as episodes."""

from __future__ import annotations

import hashlib
import mailbox
import re
from datetime import UTC
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from soma.errors import InvalidParameterError, SerializationError
from soma.ingest.episode import Episode
from soma.ingest.mail_text import body_text, clean
from soma.ingest.refusal import Source, open_source
from soma.ingest.rows import DEFAULT_IMPORTANCE
from soma.ingest.times import as_zone
from soma.state.instant import to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from email.message import Message
    from os import PathLike

    from soma.ingest.refusal import OnRefusal
    from soma.state.instant import Instant

__all__ = ["MAX_BODY", "read_mbox"]

MAX_BODY: Final = 16_384
"""Longest body that is kept whole, in characters."""

_MAIL = UUID("8d3f4b52-17c4-5f6b-a0c9-6b1e2d7f9a33")
_MAX_MESSAGE = 100_000_000  # bytes
_MAX_HEADER = 1_024  # characters
_MAX_ADDRESSES = 50
_UTC_OF_AN_UNKNOWN_PLACE = re.compile(r"-0000\s*(\([^()]*\))?\s*")


def read_mbox(
    path: str | PathLike[str],
    *,
    timezone: str | None = None,
    latest_s: Instant | None = None,
    on_refusal: OnRefusal | None = None,
) -> Iterator[Episode]:
    r"""Yield the messages of an mbox file as episodes, in their order.

    Parameters
    ----------
    path : path
        An mbox file: each message starts after a line ``From ...``. Nothing is written to it.
    timezone : str, optional
        The zone of dates that name none that is known. Without it they are refused.
    latest_s : float, aware datetime or str, optional
        The latest time that is believed.
    on_refusal : callable, optional
        Called with the `Refusal` of each message that cannot be taken, and reading goes on.

    Yields
    ------
    Episode
        As below.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened.
    SerializationError
        If it holds no message; for the first message that cannot be taken, unless ``on_refusal`` is given.
    InvalidParameterError
        For an unknown time zone.

    Notes
    -----
    * ``id`` depends on the Message-ID, or without one on every byte of the message.
    * ``text`` is the subject and the body: the first part that is plain text, else what a reader sees of the first
      that is HTML. Attachments are not read. A body is cut after 16,384 characters, and the payload says so.
    * ``timestamp`` is that of the header Date.
    * ``importance`` is 5; the tag is ``mail``.
    * ``payload`` holds ``subject``, ``from`` and ``to`` (at most 50), ``message_id`` and ``in_reply_to`` where there
      are such; ``n_characters``, the length of the whole body, where it was cut; ``damaged: true`` where U+FFFD
      stands, which takes the place of bytes that are no text in their declared encoding. Headers are cut after 1,024
      characters.

    Laws: ``property_tests/ingest/test_mbox.py``.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "inbox.mbox")
    >>> _ = path.write_text("From ada\nDate: Fri, 2 Jan 1970 00:00:00 +0000\nSubject: Clock\n\nIt is fixed.\n")
    >>> [(mail.timestamp, mail.text) for mail in read_mbox(path)]
    [(86400.0, 'Clock\nIt is fixed.')]
    """
    source = Source(path, latest_s=latest_s, on_refusal=on_refusal)
    return source.episodes(_messages(source), partial(_episode, zone=as_zone(timezone)))


def _messages(source: Source) -> Iterator[tuple[str, bytes]]:
    with open_source(source.path, "an mbox file") as file:  # says well what is wrong with the path
        if not file.readline(8).startswith(b"From "):
            raise source.error("line 1", "an mbox file starts with a line 'From ...'")
    box = mailbox.mbox(source.path, factory=None, create=False)
    try:
        for number, key in enumerate(box.iterkeys(), 1):
            with box.get_file(key) as file:
                yield f"message {number}", file.read(_MAX_MESSAGE + 1)
    finally:
        box.close()


def _episode(data: bytes, zone: tzinfo | None) -> Episode:
    if len(data) > _MAX_MESSAGE:
        raise SerializationError(f"the message has more than {_MAX_MESSAGE:,} bytes")
    message: Message = BytesParser(policy=policy.compat32).parsebytes(data)
    timestamp = _timestamp(message, zone)
    body = body_text(message)
    subject = _header(message, "Subject")
    payload: dict[str, Any] = {
        "subject": subject,
        "from": _addresses(message, "From"),
        "to": _addresses(message, "To"),
        "message_id": _header(message, "Message-ID"),
        "in_reply_to": _header(message, "In-Reply-To"),
    }
    payload = {name: value for name, value in payload.items() if value}
    if len(body) > MAX_BODY:
        payload["n_characters"] = len(body)
    text = "\n".join(part for part in (subject, body[:MAX_BODY]) if part)
    if "\ufffd" in text or any("\ufffd" in str(value) for value in payload.values()):
        payload["damaged"] = True
    if not text.strip():
        raise SerializationError("the message has neither a subject nor a body of text")
    whole = str(message["Message-ID"] or "").strip()
    identity = f"id {clean(whole)}" if whole else f"content {hashlib.sha256(data).hexdigest()}"
    return Episode(
        id=uuid5(_MAIL, identity),
        text=text,
        timestamp=timestamp,
        importance=DEFAULT_IMPORTANCE,
        payload=payload,
        tags=("mail",),
    )


def _timestamp(message: Message, zone: tzinfo | None) -> float:
    raw = str(message["Date"] or "").strip()
    if not raw:
        raise SerializationError("the message has no header Date")
    try:
        date = parsedate_to_datetime(raw)
    except (ValueError, TypeError, OverflowError, IndexError):
        requirement = "must be a date as RFC 5322 writes it: Fri, 2 Jan 1970 00:00:00 +0000"
        raise InvalidParameterError("Date", raw, requirement) from None
    if date.utcoffset() is None:
        unknown_place = _UTC_OF_AN_UNKNOWN_PLACE.search(raw)
        there = UTC if unknown_place and unknown_place.end() == len(raw) else zone
        if there is None:
            raise InvalidParameterError("Date", raw, "must say its offset from UTC, or a timezone be given")
        date = date.replace(tzinfo=there)
    return to_seconds("Date", date)


def _decoded(raw: object) -> str:
    """Return a header as a reader sees it: RFC 2047 decoded, or as it stands where that fails."""
    try:
        return clean(str(make_header(decode_header(str(raw)))))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        return clean(str(raw))


def _header(message: Message, name: str) -> str:
    raw = message[name]
    return "" if raw is None else " ".join(_decoded(raw).split())[:_MAX_HEADER]


def _addresses(message: Message, name: str) -> list[str]:
    pairs = getaddresses([str(raw) for raw in message.get_all(name, [])])
    shown = (f"{_decoded(person)} <{clean(address)}>" if person else clean(address) for person, address in pairs)
    return [" ".join(one.split())[:_MAX_HEADER] for one in shown if one][:_MAX_ADDRESSES]

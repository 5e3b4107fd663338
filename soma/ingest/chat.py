"""Chat transcripts: one episode a message."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from soma.errors import InvalidParameterError, SerializationError
from soma.ingest.chat_forms import Said, Turn, turns_of
from soma.ingest.chat_lines import is_lines, turns_of_lines
from soma.ingest.document import read_bytes, read_document
from soma.ingest.episode import Episode
from soma.ingest.refusal import Source
from soma.ingest.rows import DEFAULT_IMPORTANCE
from soma.ingest.times import as_zone, read_instant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from os import PathLike

    from soma.ingest.refusal import OnRefusal
    from soma.state.instant import Instant

__all__ = ["read_chat"]

_CHATS = UUID("b3a6f0d9-4c1e-5e0b-9b7d-0f2c8e5a7d61")


def read_chat(
    path: str | PathLike[str],
    *,
    start: Instant | None = None,
    timezone: str | None = None,
    latest_s: Instant | None = None,
    on_refusal: OnRefusal | None = None,
) -> Iterator[Episode]:
    r"""Yield the messages of a transcript as episodes, in their order.

    Parameters
    ----------
    path : path
        UTF-8, in one of the forms below, which is found out.
    start : float or str, optional
        When a conversation began that says nothing of it.
    timezone : str, optional
        The zone of times without an offset. Without it they are refused.
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
        If it has none of the forms; for the first message that cannot be taken, unless ``on_refusal`` is given.
    InvalidParameterError
        For an unknown time zone, or a ``start`` that is no time.

    Notes
    -----
    The forms are

    * lines ``[2026-03-01 10:00] Ada: text``; a line that does not start so goes on with the message before it;
    * a JSON list of messages ``{"role" or "speaker", "content" or "text", "timestamp"}``, the time being optional;
    * a JSON object, or a list of them, with such ``"messages"``, and an ``"id"``, a ``"title"`` and a ``"created_at"``
      if it likes;
    * ``conversations.json`` of ChatGPT, whose conversations are trees: every branch is read, a message before its
      answers, and what is not on the branch that was shown last is marked ``aside: true``.

    What comes of a message:

    * ``id`` depends on the conversation's id (the file's name without its ending, where it has none; numbered, where
      there are several) and on the message's own id, or without one on its order, speaker and words.
    * ``text`` is ``speaker: words``. A message without words, such as the call of a tool, is no memory.
    * ``timestamp`` is its own, or the conversation's plus one second for each message before it.
    * ``importance`` is 5; the tag is ``chat``.
    * ``payload`` holds ``conversation``, ``order`` (from 0), ``speaker``, and where there are such ``title``,
      ``message_id``, ``aside``, ``n_parts_left_out`` (pictures and the like) and ``more``: other fields of the message.

    Laws: ``property_tests/ingest/test_chat.py``.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "standup.txt")
    >>> _ = path.write_text("[1970-01-02 00:00] Ada: The clock is fixed\n[1970-01-02 00:01] Bo: At last\n")
    >>> [(said.timestamp, said.text) for said in read_chat(path, timezone="UTC")]
    [(86400.0, 'Ada: The clock is fixed'), (86460.0, 'Bo: At last')]
    """
    zone = as_zone(timezone)
    start_s = None if start is None else read_instant("start", start, zone)
    source = Source(path, latest_s=latest_s, on_refusal=on_refusal)
    return source.episodes(_turns(source), partial(_episode, start_s=start_s, zone=zone))


def _turns(source: Source) -> Iterator[tuple[str, Turn]]:
    data = read_bytes(source.path, "a chat transcript")
    if not data.strip():
        raise source.error("line 1", "the transcript is empty")
    stem = source.path.stem.encode("utf-8", "replace").decode()
    if is_lines(data):
        return turns_of_lines(data, stem)
    try:
        return turns_of(read_document(data, source.name), stem)
    except InvalidParameterError as error:
        raise SerializationError(f"{source.name}: {error}") from error


def _episode(turn: Turn, start_s: float | None, zone: tzinfo | None) -> Episode | None:
    said = turn.said()
    if not said.words.strip():
        return None
    payload: dict[str, Any] = {
        "conversation": turn.conversation.id,
        "title": turn.conversation.title,
        "order": turn.order,
        "speaker": said.speaker,
        "message_id": said.id,
        "aside": said.is_aside,
        "n_parts_left_out": said.n_parts_left_out,
        "more": said.more,
    }
    kept = ("conversation", "order", "speaker")
    return Episode(
        id=uuid5(_CHATS, _identity(turn, said)),
        text=f"{said.speaker}: {said.words}",
        timestamp=_timestamp(turn, said, start_s, zone),
        importance=DEFAULT_IMPORTANCE,
        payload={name: value for name, value in payload.items() if value or name in kept},
        tags=("chat",),
    )


def _identity(turn: Turn, said: Said) -> str:
    own = [said.id] if said.id is not None else [turn.order, said.speaker, said.words]
    return json.dumps([turn.conversation.id, *own])


def _timestamp(turn: Turn, said: Said, start_s: float | None, zone: tzinfo | None) -> float:
    if said.time is not None:
        return read_instant("the message's time", said.time, zone)
    if turn.conversation.time is not None:
        return read_instant("the conversation's time", turn.conversation.time, zone) + turn.order
    if start_s is None:
        raise SerializationError(
            "neither the message nor its conversation says when it was: give a start, the time of the first message"
        )
    return start_s + turn.order

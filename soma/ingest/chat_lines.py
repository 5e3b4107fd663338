"""Transcripts of lines: ``[2026-03-01 10:00] Ada: text``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from soma.errors import SerializationError
from soma.ingest.chat_forms import Conversation, Said, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_lines", "turns_of_lines"]

_BOM = b"\xef\xbb\xbf"
_STARTS = re.compile(rb"\[[0-9]{4}-[0-9]")
_LINE = re.compile(r"\[([0-9]{4}-[^\]]{1,60})\] ([^\s:][^:]{0,127}): ?(.*)", re.DOTALL)


def is_lines(data: bytes) -> bool:
    """Tell whether a transcript is one of lines, and not JSON.

    Parameters
    ----------
    data : bytes
        All of it.

    Returns
    -------
    bool
        Whether it starts like a line with a time, or at least not like JSON.
    """
    start = data.removeprefix(_BOM).lstrip()[:20]
    return bool(_STARTS.match(start)) or not start.startswith((b"[", b"{"))


def turns_of_lines(data: bytes, name: str) -> Iterator[tuple[str, Turn]]:
    """Yield the messages of a transcript with the lines that they start on.

    Parameters
    ----------
    data : bytes
        UTF-8, with or without a byte order mark.
    name : str
        The id of the conversation.

    Yields
    ------
    str
        The place.
    Turn
        Saying it raises `SerializationError` for a line that is no message and goes on with none.
    """
    conversation = Conversation(id=name)
    order, number, held = 0, 0, list[bytes]()
    for i, line in enumerate(data.removeprefix(_BOM).splitlines(), 1):
        if held and not _STARTS.match(line):
            held.append(line)
            continue
        if held:
            yield f"line {number}", _turn(conversation, order, held)
            order += 1
        number, held = i, [line] if line.strip() else []
    if held:
        yield f"line {number}", _turn(conversation, order, held)


def _turn(conversation: Conversation, order: int, lines: list[bytes]) -> Turn:
    return Turn(conversation, order, lambda: _said(b"\n".join(lines)))


def _said(data: bytes) -> Said:
    try:
        found = _LINE.fullmatch(data.decode())
    except UnicodeDecodeError as error:
        raise SerializationError(f"the message is not UTF-8 at byte {error.start + 1}") from error
    if found is None:
        raise SerializationError("the line must read [2026-03-01 10:00] Ada: text, or go on with such a line")
    time, speaker, words = found.groups()
    return Said(speaker.strip(), words.strip(), time)

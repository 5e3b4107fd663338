"""LoCoMo: the turns of very long conversations as episodes, and the questions about them with their evidence.

The data are no part of soma: they come from https://github.com/snap-research/locomo under their own licence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from soma.errors import InvalidParameterError, SerializationError
from soma.ingest.document import read_bytes, read_document
from soma.ingest.episode import Episode
from soma.ingest.refusal import Source
from soma.ingest.rows import DEFAULT_IMPORTANCE

if TYPE_CHECKING:
    from os import PathLike

    from soma.ingest.refusal import OnRefusal

__all__ = ["Sample", "read_locomo", "read_samples", "turn_id"]

_LOCOMO = UUID("6a2d9c0e-8e5b-5b7f-a1f4-3d5c7e9b1a02")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")
_MONTH = {name: number for number, name in enumerate((*_MONTHS, "November", "December"), 1)}
_DATE = re.compile(r"^([0-9]{1,2}):([0-9]{2}) ([ap])m on ([0-9]{1,2}) ([A-Z][a-z]+),? ([0-9]{4})$")
_SESSION = re.compile(r"session_([0-9]{1,4})")
_DIALOGUE = re.compile(r"D([0-9]{1,4}):([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the conversations, as it is written.

    Parameters
    ----------
    id : str
        ``sample_id``.
    sessions : tuple of (int, str, tuple)
        The number of each session, its date and its turns, in order.
    questions : tuple
        ``qa``.
    """

    id: str
    sessions: tuple[tuple[int, str, tuple[Any, ...]], ...]
    questions: tuple[Any, ...]


def read_locomo(path: str | PathLike[str], *, on_refusal: OnRefusal | None = None) -> Iterator[Episode]:
    """Yield the turns of all conversations of a file as episodes, in their order.

    Parameters
    ----------
    path : path
        A JSON list of samples, such as ``locomo10.json``.
    on_refusal : callable, optional
        Called with the `Refusal` of each turn that cannot be taken, and reading goes on.

    Yields
    ------
    Episode
        As below.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened.
    SerializationError
        If it is none of LoCoMo; for the first turn that cannot be taken, unless ``on_refusal`` is given.

    Notes
    -----
    * ``id`` is that of `turn_id`: it depends on the sample's id and the turn's.
    * ``text`` is ``speaker: words``; of a turn that shares a picture, a second line ``(shares CAPTION: SEARCH)`` with
      the caption that the data give to it (``blip_caption``) and the words it was searched by (``query``), as far as
      there are any. Its address is left out.
    * ``timestamp`` is the date of the session, which is taken for UTC as the data name no zone, plus one second for
      each turn before it in the session.
    * ``importance`` is 5; ``tags`` are ``locomo`` and the sample's id.
    * ``payload`` holds ``sample``, ``session``, ``dia_id``, ``order`` (from 0, in the session), ``speaker``, and
      ``caption`` and ``search`` where there are any.

    Dates of sessions that do not exist count for nothing. Laws: ``property_tests/ingest/test_locomo.py``.

    Examples
    --------
    >>> read_locomo("/no/such/file.json")
    Traceback (most recent call last):
    soma.errors.ConfigurationError: /no/such/file.json does not exist: give a file of LoCoMo's conversations
    """
    source = Source(path, on_refusal=on_refusal)
    return source.episodes(_turns(read_samples(source)), lambda make: make())


def read_samples(source: Source) -> tuple[Sample, ...]:
    """Return the conversations of a file, checked as far as turns and questions.

    Parameters
    ----------
    source : Source
        The file.

    Returns
    -------
    tuple of Sample
        In their order.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened.
    SerializationError
        If it is none of LoCoMo.
    """
    document = read_document(read_bytes(source.path, "a file of LoCoMo's conversations"), source.name)
    if not isinstance(document, list) or not document:
        raise source.error("the document", 'it must be a list of samples with "sample_id", "conversation" and "qa"')
    samples = [_sample(source, f"sample {i}", raw) for i, raw in enumerate(document, 1)]
    ids = [sample.id for sample in samples]
    for i, id in enumerate(ids):
        if id in ids[:i]:
            raise source.error(f"sample {i + 1}", f"the sample_id {id!r} stands twice")
    return tuple(samples)


def turn_id(sample: str, dia_id: str) -> UUID:
    """Return the id of the memory that a turn becomes.

    Parameters
    ----------
    sample : str
        The sample's id: ``"conv-26"``.
    dia_id : str
        The turn's: ``"D1:3"``.

    Returns
    -------
    UUID
        The same for the same turn.

    Examples
    --------
    >>> turn_id("conv-26", "D1:3")
    UUID('347fce81-2c5d-52a5-a96d-3f949fd1f9b1')
    """
    return uuid5(_LOCOMO, f"{sample} {dia_id}")


def _sample(source: Source, place: str, raw: Any) -> Sample:
    if not isinstance(raw, dict) or not isinstance(raw.get("conversation"), dict):
        raise source.error(place, 'it must be an object with a "conversation"')
    id, questions, conversation = raw.get("sample_id"), raw.get("qa", []), raw["conversation"]
    if not isinstance(id, str) or not 0 < len(id) <= 128:
        raise source.error(place, f"the sample_id must be a text of 1 to 128 characters, got {id!r:.120}")
    if not isinstance(questions, list):
        raise source.error(place, "qa must be a list of questions")
    sessions: list[tuple[int, str, tuple[Any, ...]]] = []
    for key, turns in conversation.items():
        if (found := _SESSION.fullmatch(key)) is None:
            continue
        date = conversation.get(f"{key}_date_time")
        if not isinstance(turns, list) or not isinstance(date, str):
            raise source.error(f"{id}, {key}", "a session must be a list of turns, and have a date beside it")
        sessions.append((int(found[1]), date, tuple(turns)))
    return Sample(id, tuple(sorted(sessions, key=lambda session: session[0])), tuple(questions))


def _turns(samples: tuple[Sample, ...]) -> Iterator[tuple[str, Any]]:
    for sample in samples:
        for session, date, turns in sample.sessions:
            for order, turn in enumerate(turns):
                place = f"{sample.id}, session {session}, turn {order + 1}"
                yield place, partial(_episode, sample.id, session, date, order, turn)


def _episode(sample: str, session: int, date: str, order: int, turn: Any) -> Episode:
    if not isinstance(turn, Mapping):
        raise SerializationError("a turn must be an object")
    for name in ("speaker", "dia_id", "text"):
        if not isinstance(turn.get(name), str):
            raise InvalidParameterError(name, turn.get(name), "must be a text")
    dia_id, speaker = turn["dia_id"], turn["speaker"]
    picture = {"caption": turn.get("blip_caption"), "search": turn.get("query")}
    if _DIALOGUE.fullmatch(dia_id) is None:
        raise InvalidParameterError("dia_id", dia_id, "must read D1:3")
    for name, value in zip(("blip_caption", "query"), picture.values(), strict=True):
        if value is not None and not isinstance(value, str):
            raise InvalidParameterError(name, value, "must be a text")
    seen = {name: value for name, value in picture.items() if value}
    if not seen and not turn["text"].strip():
        raise InvalidParameterError("text", turn["text"], "must hold words")
    text = f"{speaker}: {turn['text']}".rstrip()
    payload = {"sample": sample, "session": session, "dia_id": dia_id, "order": order, "speaker": speaker, **seen}
    if seen:
        text += f"\n(shares {': '.join(seen.values())})"
    return Episode(
        id=turn_id(sample, dia_id),
        text=text,
        timestamp=_session_date(date) + order,
        importance=DEFAULT_IMPORTANCE,
        payload=payload,
        tags=tuple(sorted({"locomo", sample})),
    )


def _session_date(text: str) -> float:
    """Return POSIX seconds of a date such as ``1:56 pm on 8 May, 2023``."""
    try:
        hour, minute, half, day, month, year = _DATE.findall(text.strip())[0]
        if not 1 <= int(hour) <= 12:
            raise ValueError(hour)
        hours = int(hour) % 12 + 12 * (half == "p")
        return datetime(int(year), _MONTH[month], int(day), hours, int(minute), tzinfo=UTC).timestamp()
    except (IndexError, KeyError, ValueError):
        raise InvalidParameterError("the session's date", text, "must read 1:56 pm on 8 May, 2023") from None

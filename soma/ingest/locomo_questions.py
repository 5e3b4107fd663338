"""LoCoMo's questions: what is asked, and in which turns the answer stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from soma.ingest.locomo import Sample, read_samples, turn_id
from soma.ingest.refusal import Source

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["LocomoCategory", "LocomoQuestion", "locomo_questions"]

_REFERENCE = re.compile(r"D:?([0-9]{1,4}):([0-9]{1,4})")
_REFERENCES = re.compile(rf"{_REFERENCE.pattern}(?:[\s;,]+{_REFERENCE.pattern})*")


class LocomoCategory(IntEnum):
    """What a question asks for, by the numbers of the data."""

    MULTI_HOP = 1
    TEMPORAL = 2
    OPEN_DOMAIN = 3
    SINGLE_HOP = 4
    ADVERSARIAL = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LocomoQuestion:
    """One question about a conversation.

    Parameters
    ----------
    sample : str
        The sample's id.
    number : int
        Its place among the sample's questions, from 0.
    question : str
        As written.
    answer : str or None
        The right one; None where there is none, as for most adversarial questions.
    adversarial_answer : str or None
        A wrong one that is tempting.
    category : LocomoCategory
        What it asks for.
    evidence : tuple of str
        The turns in which the answer stands, by ``dia_id``, each once; each of them exists. Recall over none is
        undefined, and not 1.
    evidence_ids : tuple of UUID
        The same as ids of memories.
    repaired : tuple of str
        Entries of the evidence that were malformed and could be read.
    unresolved : tuple of str
        Entries that could not be read, and turns that do not exist.
    """

    sample: str
    number: int
    question: str
    answer: str | None
    adversarial_answer: str | None
    category: LocomoCategory
    evidence: tuple[str, ...]
    evidence_ids: tuple[UUID, ...]
    repaired: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()


def locomo_questions(path: str | PathLike[str]) -> tuple[LocomoQuestion, ...]:
    """Return the questions of all conversations of a file.

    Parameters
    ----------
    path : path
        A JSON list of samples, as `read_locomo` takes it.

    Returns
    -------
    tuple of LocomoQuestion
        In their order.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened.
    SerializationError
        If it is none of LoCoMo, or holds a question that is none.

    Notes
    -----
    Repaired are several turns in one entry (``"D8:6; D9:17"``), a colon too many (``"D:11:26"``) and leading zeros
    (``"D30:05"``); ``"D"`` and turns that do not exist cannot be. Laws: ``property_tests/ingest/test_locomo.py``.

    Examples
    --------
    >>> locomo_questions("/no/such/file.json")
    Traceback (most recent call last):
    soma.errors.ConfigurationError: /no/such/file.json does not exist: give a file of LoCoMo's conversations
    """
    source = Source(path)
    return tuple(question for sample in read_samples(source) for question in _questions(source, sample))


def _questions(source: Source, sample: Sample) -> list[LocomoQuestion]:
    turns = [turn for *_, turns in sample.sessions for turn in turns]
    known = {turn["dia_id"] for turn in turns if isinstance(turn, dict) and isinstance(turn.get("dia_id"), str)}
    found: list[LocomoQuestion] = []
    for number, raw in enumerate(sample.questions):
        place = f"{sample.id}, question {number + 1}"
        if not isinstance(raw, dict) or not isinstance(raw.get("question"), str):
            raise source.error(place, 'it must be an object with a "question"')
        evidence = raw.get("evidence", [])
        if not isinstance(evidence, list) or not all(isinstance(entry, str) for entry in evidence):
            raise source.error(place, "the evidence must be a list of texts")
        try:
            category = LocomoCategory(raw.get("category", 0))
        except ValueError:
            raise source.error(place, f"the category must be 1 to 5, got {raw.get('category')!r:.120}") from None
        there, repaired, unresolved = _resolved(evidence, known)
        found.append(
            LocomoQuestion(
                sample=sample.id,
                number=number,
                question=raw["question"],
                answer=_text(raw.get("answer")),
                adversarial_answer=_text(raw.get("adversarial_answer")),
                category=category,
                evidence=there,
                evidence_ids=tuple(turn_id(sample.id, dia_id) for dia_id in there),
                repaired=repaired,
                unresolved=unresolved,
            )
        )
    return found


def _resolved(entries: list[str], known: set[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the turns that exist, the entries that were repaired, and what leads nowhere."""
    there: dict[str, None] = {}
    repaired: list[str] = []
    unresolved: list[str] = []
    for entry in entries:
        if entry in known:
            there[entry] = None
            continue
        if not _REFERENCES.fullmatch(entry.strip(" ;,")):
            unresolved.append(entry)
            continue
        meant = [f"D{int(session)}:{int(turn)}" for session, turn in _REFERENCE.findall(entry)]
        present = [dia_id for dia_id in meant if dia_id in known]
        there |= dict.fromkeys(present)
        unresolved += [dia_id for dia_id in meant if dia_id not in known]
        if present:
            repaired.append(entry)
    return tuple(there), tuple(repaired), tuple(unresolved)


def _text(answer: Any) -> str | None:
    return None if answer is None else str(answer)

"""Laws of LoCoMo: a turn is an episode, and evidence is repaired where it can be.

The conversation in this file is our own; the real ones are read where they lie, and never copied.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from soma.errors import ConfigurationError, SerializationError
from soma.factory import create_memory
from soma.ingest import LocomoCategory, Refusal, load, locomo_questions, read_locomo
from soma.ingest.locomo import turn_id


def turn(dia_id: str, text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"speaker": "Ada" if int(dia_id[-1]) % 2 else "Bo", "dia_id": dia_id, "text": text, **more}


def sample(id: str = "conv-1", qa: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {
        "sample_id": id,
        "qa": [*qa],
        "conversation": {
            "speaker_a": "Ada",
            "speaker_b": "Bo",
            "session_2_date_time": "12:05 am on 1 March, 2026",
            "session_2": [turn("D2:1", "The clock is fixed"), turn("D2:2", "Good")],
            "session_1_date_time": "1:56 pm on 28 February, 2026",
            "session_1": [
                turn("D1:1", "The clock is broken", blip_caption="a photo of a clock", img_url=["x"], query="clock"),
                turn("D1:2", "Again?", query="a tower"),
            ],
            "session_3_date_time": "9:00 am on 2 March, 2026",
        },
    }


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_every_turn_is_an_episode_at_the_time_of_its_session(tmp_path: Path) -> None:
    path = write(tmp_path / "ours.json", [sample(), sample("conv-2")])
    read = list(read_locomo(path))
    assert [(e.payload["sample"], e.payload["dia_id"]) for e in read] == [
        (id, dia_id) for id in ("conv-1", "conv-2") for dia_id in ("D1:1", "D1:2", "D2:1", "D2:2")
    ]
    assert read[0].text == "Ada: The clock is broken\n(shares a photo of a clock: clock)"
    assert dict(read[0].payload) == {
        "sample": "conv-1",
        "session": 1,
        "dia_id": "D1:1",
        "order": 0,
        "speaker": "Ada",
        "caption": "a photo of a clock",
        "search": "clock",
    }
    assert [e.text for e in read[1:3]] == ["Bo: Again?\n(shares a tower)", "Ada: The clock is fixed"]
    assert read[0].tags == ("conv-1", "locomo")
    starts = [datetime(2026, 2, 28, 13, 56, tzinfo=UTC), datetime(2026, 3, 1, 0, 5, tzinfo=UTC)]
    assert [e.timestamp for e in read[:4]] == [start.timestamp() + order for start in starts for order in range(2)]
    assert len({e.id for e in read}) == 8
    assert [e.id for e in read[:4]] == [turn_id("conv-1", e.payload["dia_id"]) for e in read[:4]]


def question(*evidence: str, category: int = 1, **more: Any) -> dict[str, Any]:
    return {"question": "What of the clock?", "answer": "fixed", "category": category, "evidence": [*evidence], **more}


@pytest.mark.parametrize(
    ("entries", "evidence", "repaired", "unresolved"),
    [
        (("D1:1", "D2:2"), ("D1:1", "D2:2"), 0, ()),
        (("D1:1", "D1:1"), ("D1:1",), 0, ()),
        (("D1:1; D2:1",), ("D1:1", "D2:1"), 1, ()),
        (("D1:1 D2:1,D2:2",), ("D1:1", "D2:1", "D2:2"), 1, ()),
        (("D:1:2",), ("D1:2",), 1, ()),
        (("D1:02", "D02:1"), ("D1:2", "D2:1"), 2, ()),
        (("D",), (), 0, ("D",)),
        (("D9:9",), (), 0, ("D9:9",)),
        (("D1:1; D9:9",), ("D1:1",), 1, ("D9:9",)),
        (("D1:1 and more",), (), 0, ("D1:1 and more",)),
        ((), (), 0, ()),
    ],
)
def test_evidence_is_repaired_where_it_can_be(
    entries: tuple[str, ...], evidence: tuple[str, ...], repaired: int, unresolved: tuple[str, ...], tmp_path: Path
) -> None:
    (asked,) = locomo_questions(write(tmp_path / "ours.json", [sample(qa=(question(*entries),))]))
    assert (asked.evidence, asked.unresolved) == (evidence, unresolved)
    assert len(asked.repaired) == repaired
    assert set(asked.repaired) <= set(entries)
    assert asked.evidence_ids == tuple(turn_id("conv-1", dia_id) for dia_id in evidence)


def test_evidence_is_found_in_the_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "ours.json", [sample(qa=(question("D2:1"),)), sample("conv-2")])
    (asked,) = locomo_questions(path)
    with create_memory("TEST") as memory:
        memory._store.clock = lambda: 2e9
        assert load(memory, read_locomo(path)).n_new == 8
        hits = memory.recall("is the clock fixed?", k=1, tags=[asked.sample])
        assert {hit.record.id for hit in hits} == set(asked.evidence_ids)


def test_questions_keep_their_answers_and_categories(tmp_path: Path) -> None:
    hard = {"question": "Who lied?", "category": 5, "evidence": [], "adversarial_answer": "Bo"}
    asked = locomo_questions(write(tmp_path / "ours.json", [sample(qa=(question(answer=2026), hard))]))
    assert [(one.number, one.answer, one.adversarial_answer) for one in asked] == [(0, "2026", None), (1, None, "Bo")]
    assert [one.category.name for one in asked] == ["MULTI_HOP", "ADVERSARIAL"]
    assert [category.name for category in LocomoCategory] == [
        "MULTI_HOP",
        "TEMPORAL",
        "OPEN_DOMAIN",
        "SINGLE_HOP",
        "ADVERSARIAL",
    ]


BAD_TURNS = {
    "no object": (7, "a turn must be an object"),
    "no speaker": ({"dia_id": "D1:1", "text": "x"}, "speaker must be a text, got None"),
    "no id": ({"speaker": "Ada", "text": "x"}, "dia_id must be a text, got None"),
    "an odd id": ({"speaker": "Ada", "dia_id": "D1", "text": "x"}, "dia_id must read D1:3, got 'D1'"),
    "no text": ({"speaker": "Ada", "dia_id": "D1:1", "text": " "}, "text must hold words"),
    "an odd search": (turn("D1:1", query=["clock"]), "query must be a text, got ['clock']"),
    "an odd caption": (turn("D1:1", blip_caption=7), "blip_caption must be a text, got 7"),
    "an id twice": (turn("D2:1", "another"), "its id stands for something else at conv-1, session 1, turn 1"),
}


@pytest.mark.parametrize("name", BAD_TURNS)
def test_a_bad_turn_is_named(name: str, tmp_path: Path) -> None:
    bad, reason = BAD_TURNS[name]
    ours = sample()
    ours["conversation"]["session_1"] = [bad]
    if name == "an id twice":
        ours["conversation"]["session_2"] = [turn("D2:1")]
    path = write(tmp_path / "ours.json", [ours])
    refused: list[Refusal] = []
    list(read_locomo(path, on_refusal=refused.append))
    assert [one.place for one in refused] == [f"conv-1, session {2 if name == 'an id twice' else 1}, turn 1"]
    assert refused[0].reason.startswith(reason)
    with pytest.raises(SerializationError, match=r"^ours.json, conv-1, session"):
        list(read_locomo(path))


@pytest.mark.parametrize(
    "date", ["", "13:00 pm on 1 March, 2026", "0:10 am on 1 March, 2026", "1:00 pm on 31 June, 2026"]
)
def test_a_date_that_is_none_is_named(date: str, tmp_path: Path) -> None:
    ours = sample()
    ours["conversation"]["session_1_date_time"] = date
    with pytest.raises(SerializationError, match=r"session 1, turn 1: the session's date must read 1:56 pm on 8 May"):
        list(read_locomo(write(tmp_path / "ours.json", [ours])))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "the document: it must be a list of samples"),
        ([], "the document: it must be a list of samples"),
        ([7], 'sample 1: it must be an object with a "conversation"'),
        ([{"conversation": {}}], "sample 1: the sample_id must be a text"),
        ([sample() | {"qa": 7}], "sample 1: qa must be a list of questions"),
        ([sample(), sample()], "sample 2: the sample_id 'conv-1' stands twice"),
        ([{"sample_id": "a", "conversation": {"session_1": []}}], "a, session_1: a session must be a list of turns"),
        ([sample(qa=(7,))], 'conv-1, question 1: it must be an object with a "question"'),
        ([sample(qa=(question(category=6),))], "conv-1, question 1: the category must be 1 to 5, got 6"),
        ([sample(qa=(question() | {"evidence": "D1:1"},))], "conv-1, question 1: the evidence must be a list of texts"),
    ],
)
def test_a_document_that_is_none_of_locomo_is_refused(document: Any, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "ours.json", document)
    with pytest.raises(SerializationError) as caught:
        locomo_questions(path)
    assert str(caught.value).startswith(f"ours.json, {reason}")
    with pytest.raises(ConfigurationError, match="does not exist: give a file of LoCoMo's conversations"):
        locomo_questions(tmp_path / "none")


def test_the_real_conversations_are_read_whole(shared_data: Path) -> None:
    path = shared_data / "locomo_dev.json"
    turns, asked = list(read_locomo(path)), locomo_questions(path)
    assert (len(turns), len({e.id for e in turns}), len(asked)) == (2_960, 2_960, 1_020)
    ids = {e.id for e in turns}
    assert all(set(one.evidence_ids) <= ids for one in asked)
    assert [entry for one in asked for entry in one.repaired] == [
        "D8:6; D9:17",
        "D:11:26",
        "D9:1 D4:4 D4:6",
        "D22:1 D22:2 D9:10 D9:11",
        "D21:18 D21:22 D11:15 D11:19",
    ]
    assert [entry for one in asked for entry in one.unresolved] == ["D4:36"]
    assert sum(not one.evidence for one in asked) == 2
    assert Counter(one.category.value for one in asked) == {1: 151, 2: 157, 3: 61, 4: 419, 5: 232}
    by_session = [(e.payload["sample"], e.payload["session"], e.timestamp) for e in turns]
    assert by_session == sorted(by_session)  # sessions are in the order of their dates

"""Laws of transcripts: every form gives what was said, in its order, by whom and when."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.factory import create_memory
from soma.ingest import Episode, Loaded, Refusal, load, read_chat
from soma.state.instant import to_iso

words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
lines = st.lists(words, min_size=1, max_size=4).map(" ".join)
speakers = st.text(st.characters(categories=("L",)), min_size=1, max_size=8)
times = st.integers(0, 2**30)
talks = st.lists(st.tuples(speakers, lines, times | st.none()), min_size=1, max_size=6)
START_S = 1e9


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), "utf-8")
    return path


def said(episodes: list[Episode]) -> list[tuple[str, str, float]]:
    return [(e.payload["speaker"], e.text.removeprefix(f"{e.payload['speaker']}: "), e.timestamp) for e in episodes]


def expected(talk: list[tuple[str, str, int | None]], start_s: float) -> list[tuple[str, str, float]]:
    return [(who, what, start_s + i if at is None else at) for i, (who, what, at) in enumerate(talk)]


@given(talks, st.sampled_from(["role", "speaker", "sender"]), st.sampled_from(["content", "text"]), st.booleans())
def test_a_list_of_messages_comes_back(scratch: Path, talk: list[Any], who: str, what: str, is_iso: bool) -> None:
    messages = [
        {who: speaker, what: text} | ({} if at is None else {"timestamp": to_iso(at) if is_iso else at})
        for speaker, text, at in talk
    ]
    read = list(read_chat(write(scratch / "talk.json", messages), start=START_S))
    assert said(read) == expected(talk, START_S)
    assert [(e.payload["conversation"], e.payload["order"]) for e in read] == [("talk", i) for i in range(len(talk))]
    # the same in an object that says when it began, and in a list of two
    one = {"id": "c1", "title": "t", "created_at": to_iso(5), "messages": messages}
    assert said(list(read_chat(write(scratch / "one.json", one)))) == expected(talk, 5)
    both = list(read_chat(write(scratch / "two.json", [one, {"messages": messages}]), start=START_S))
    assert said(both) == expected(talk, 5) + expected(talk, START_S)
    assert {e.payload["conversation"] for e in both} == {"c1", "two-2"}
    assert len({e.id for e in both}) == 2 * len(talk)


@settings(max_examples=30)
@given(st.lists(st.tuples(speakers, st.lists(lines, min_size=1, max_size=3), times), min_size=1, max_size=5))
def test_lines_come_back(scratch: Path, talk: list[Any]) -> None:
    def at(seconds: int) -> str:
        return datetime.fromtimestamp(seconds // 60 * 60, UTC).strftime("%Y-%m-%d %H:%M")

    path = scratch / "standup.txt"
    path.write_text("".join(f"[{at(s)}] {who}: " + "\n".join(what) + "\n" for who, what, s in talk), "utf-8")
    read = list(read_chat(path, timezone="UTC"))
    assert said(read) == [(who, "\n".join(what), s // 60 * 60) for who, what, s in talk]
    assert [e.payload["order"] for e in read] == list(range(len(talk)))
    with create_memory("TEST") as memory:
        memory._store.clock = lambda: 2e9
        assert load(memory, read_chat(path, timezone="UTC"), batch=2) == Loaded(len(talk), 0)
        assert load(memory, read_chat(path, timezone="UTC")) == Loaded(0, len(talk))


def node(id: str, parent: str | None, children: list[str], message: Any = None) -> dict[str, Any]:
    return {"id": id, "parent": parent, "children": children, "message": message}


def message(role: str, *parts: Any, at: float | None = None, **content: Any) -> dict[str, Any]:
    return {
        "author": {"role": role},
        "content": {"parts": [*parts], **content},
        "create_time": at,
        "metadata": {"x": 1},
    }


TREE = {
    "title": "Clocks",
    "create_time": 100.5,
    "conversation_id": "conv-1",
    "current_node": "answer-2",
    "mapping": {
        "root": node("root", None, ["system"]),
        "system": node("system", "root", ["question"], message("system", "")),
        "question": node(
            "question", "system", ["answer-1", "answer-2"], message("user", "What time is it?", at=200.25)
        ),
        "answer-2": node("answer-2", "question", [], message("assistant", "Late", {"asset": "a.png"})),
        "answer-1": node("answer-1", "question", ["follow"], message("assistant", "Early", at=201)),
        "follow": node("follow", "answer-1", [], message("user", "Really?", at=202)),
    },
}


def test_a_tree_is_read_with_all_its_branches(tmp_path: Path) -> None:
    read = list(read_chat(write(tmp_path / "conversations.json", [TREE])))
    assert said(read) == [
        ("user", "What time is it?", 200.25),
        ("assistant", "Early", 201),
        ("user", "Really?", 202),
        ("assistant", "Late", 104.5),
    ]
    assert [e.payload.get("aside", False) for e in read] == [False, True, True, False]
    assert dict(read[-1].payload) == {
        "conversation": "conv-1",
        "title": "Clocks",
        "order": 4,
        "speaker": "assistant",
        "message_id": "answer-2",
        "n_parts_left_out": 1,
    }
    assert read[0].tags == ("chat",)
    assert str(read[0].id) == "1b16c8f5-f100-5874-aff2-43a55488684f"


def test_parts_tool_calls_and_other_fields_are_kept_apart(tmp_path: Path) -> None:
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "look"}, {"type": "image"}, "here"],
            "id": 7,
            "lang": "en",
        },
        {"role": "assistant", "content": None, "tool_calls": [{}]},
        {"role": "assistant", "content": []},
        {"sender": "human", "text": "", "content": [{"type": "text", "text": "seen"}]},
    ]
    first, last = read_chat(write(tmp_path / "api.json", messages), start=0)
    assert (first.text, first.payload["n_parts_left_out"], first.payload["message_id"]) == ("user: look\nhere", 1, "7")
    assert first.payload["more"] == {"lang": "en"}
    assert (last.text, last.timestamp) == ("human: seen", 3)


def test_ids_outlive_what_is_said_later(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": f"line {i}"} for i in range(4)]
    before = list(read_chat(write(tmp_path / "a.json", talk[:2]), start=0))
    assert list(read_chat(write(tmp_path / "a.json", talk), start=0))[:2] == before
    other = list(read_chat(write(tmp_path / "b.json", talk), start=0))
    assert not {e.id for e in other} & {e.id for e in before}


USER = {"role": "user", "content": "x", "timestamp": 0}
BAD_MESSAGES = {
    "no object": (7, "the message must be an object, got 7"),
    "no speaker": ({"content": "x"}, "the message must say its speaker"),
    "an empty speaker": ({"role": " ", "content": "x"}, "the message must say its speaker"),
    "no words": ({"role": "user"}, 'the message must have a "content" or a "text"'),
    "words that are none": ({"role": "user", "content": 7}, "the content must be a text, or a list of parts, got 7"),
    "no time": ({"role": "user", "content": "x"}, "neither the message nor its conversation says when it was"),
    "a naive time": (USER | {"timestamp": "2026-03-01 10:00"}, "the message's time must say its offset"),
    "the future": (USER | {"timestamp": 2e9}, "the time must not lie after 2001-09-09"),
    "half a character": (USER | {"content": "\ud800"}, "contains a lone surrogate"),
    "NUL": (USER | {"content": "\0"}, "contains NUL"),
    "a number that is none": (USER | {"x": 2**60}, "holds an integer beyond 2**53 - 1"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_bad_message_is_named(name: str, tmp_path: Path) -> None:
    bad, reason = BAD_MESSAGES[name]
    path = write(tmp_path / "talk.json", {"messages": [USER, bad, USER | {"content": "y"}]})
    refused: list[Refusal] = []
    assert [e.payload["order"] for e in read_chat(path, latest_s=1e9, on_refusal=refused.append)] == [0, 2]
    (one,) = refused
    assert (one.source, one.place) == ("talk.json", "conversation 1, message 2")
    assert reason in one.reason
    with pytest.raises(SerializationError, match="^" + re.escape(str(one)) + "$"):
        list(read_chat(path, latest_s=1e9))


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("hello", "line 1", "the line must read [2026-03-01 10:00] Ada: text"),
        ("\n[2026-03-01 10:00] no colon", "line 2", "the line must read"),
        ("[2026-03-01 10:00Z] Ada: a\n[2026-99-01 10:00] Bo: b", "line 2", "the message's time must be ISO 8601"),
        ("[2026-03-01 10:00] Ada: a", "line 1", "the message's time must say its offset from UTC"),
        ("[2026-03-01 10:00Z] Ada: a\n\xff", "line 1", "the message is not UTF-8 at byte 28"),
    ],
)
def test_a_bad_line_is_named(text: str, place: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_bytes(text.encode("latin-1"))
    refused: list[Refusal] = []
    list(read_chat(path, on_refusal=refused.append))
    assert [one.place for one in refused] == [place]
    assert refused[0].reason.startswith(reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "talk.json, line 1: the transcript is empty"),
        (b'[{"role": "user",\n]', "talk.json, line 2, column 1: the document is not JSON"),
        (b'[\n"\xff"]', "talk.json, line 2: the document is not UTF-8 at byte 3"),
        (b'{"a": NaN}', "talk.json: NaN is not JSON"),
        (b'{"a": 1, "a": 1}', "talk.json: the key 'a' stands twice"),
        (b"[" * 100_000, "talk.json: the document is nested too deeply"),
        (b"[7]", "talk.json: the transcript must be a list of objects, got 7"),
        (b'{"a": 1}', "talk.json: the transcript must be a list of messages, or have"),
        (b'[{"messages": []}, {"role": "user"}]', "talk.json: the transcript must be a list of messages, or have"),
        (b"[" + b"9" * 5_000 + b"]", "talk.json: "),
    ],
)
def test_a_document_of_no_form_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_bytes(content)
    refused: list[Refusal] = []
    with pytest.raises(SerializationError, match="^" + re.escape(reason)):
        list(read_chat(path, on_refusal=refused.append))
    assert not refused


@pytest.mark.parametrize("mapping", [7, {"a": 7}, {"a": node("a", "b", ["b"]), "b": node("b", "a", ["a"])}])
def test_a_tree_that_is_none_is_refused(mapping: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "talk.json", [{"mapping": mapping}])
    with pytest.raises(
        SerializationError, match=r"^talk.json, conversation 1, message 1: .*(mapping must|hang on no root)"
    ):
        list(read_chat(path))


def test_a_file_or_a_start_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist: give a chat transcript"):
        list(read_chat(tmp_path / "none"))
    with pytest.raises(InvalidParameterError, match="start must be ISO 8601"):
        read_chat(tmp_path / "none", start="yesterday")


JUNK_KEYS = ("mapping", "messages", "role", "content", "parts", "text", "id", "message", "parent", "children", "a", "b")
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(JUNK_KEYS), inner, max_size=5),
    max_leaves=20,
)


def read_or_refuse(path: Path) -> None:
    """Read what can be read; whatever is refused is refused by soma, and names the file."""
    try:
        list(read_chat(path, start=0, on_refusal=lambda _: None))
    except SerializationError as error:
        if not str(error).startswith(path.name):
            raise


@given(junk)
def test_no_document_crashes_it(scratch: Path, document: Any) -> None:
    read_or_refuse(write(scratch / "any.json", document))
    read_or_refuse(write(scratch / "any.json", [{"mapping": document}]))
    read_or_refuse(write(scratch / "any.json", [{"messages": document}]))


@given(st.binary(max_size=60))
def test_no_bytes_crash_it(scratch: Path, data: bytes) -> None:
    path = scratch / "any.txt"
    for start in (b"", b"[2026-03-01 10:00Z] "):
        path.write_bytes(start + data)
        read_or_refuse(path)

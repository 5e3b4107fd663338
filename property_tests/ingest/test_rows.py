"""Laws of JSON lines and tables: what was written comes back, in any order, once; what cannot be taken is named."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.factory import create_memory
from soma.ingest import Episode, Fields, Loaded, Refusal, load, read_csv, read_jsonl
from soma.state.instant import EARLIEST_S
from soma.testing.strategies import json_objects

USUAL = ("text", "timestamp", "id", "importance", "tags")
NOW_S = 2e9

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1).filter(str.strip)
labels = st.text(st.characters(min_codepoint=33, exclude_categories=("Cs", "Z", "Cc")), min_size=1, max_size=9)
columns = labels.filter(lambda name: name not in USUAL)
rows = st.fixed_dictionaries(
    {"text": texts, "timestamp": st.floats(EARLIEST_S, NOW_S) | st.integers(0, 2**30)},
    optional={"importance": st.integers(-99, 99), "tags": st.lists(labels, max_size=3)},
)


def write_lines(path: Path, values: list[Any], end: str = "\n") -> Path:
    path.write_bytes("".join(json.dumps(value, ensure_ascii=False) + end for value in values).encode())
    return path


@given(st.lists(st.tuples(rows, json_objects()), max_size=5), st.sampled_from(["\n", "\r\n", "\n \n"]), st.booleans())
def test_json_lines_come_back(scratch: Path, made: list[tuple[Any, Any]], end: str, has_bom: bool) -> None:
    written = [{**{k: v for k, v in more.items() if k not in USUAL}, **row} for row, more in made]
    path = write_lines(scratch / "notes.jsonl", written, end)
    path.write_bytes(b"\xef\xbb\xbf" * has_bom + path.read_bytes())
    read = list(read_jsonl(path))
    assert len(read) == len(written)
    for episode, row in zip(read, written, strict=True):
        assert (episode.text, episode.timestamp) == (row["text"], row["timestamp"])
        assert episode.importance == row.get("importance", 5)
        assert episode.tags == tuple(sorted(set(row.get("tags", ()))))
        assert episode.payload == {name: value for name, value in row.items() if name not in USUAL}


@given(
    st.lists(columns, unique=True, max_size=3).flatmap(
        lambda more: st.tuples(st.just(more), st.lists(st.tuples(rows, st.lists(texts, min_size=3, max_size=3))))
    ),
    st.sampled_from([(",", "\r\n", True), (";", "\n", False), ("\t", "\r\n", False)]),
)
def test_tables_come_back(scratch: Path, made: tuple[list[str], list[Any]], form: tuple[str, str, bool]) -> None:
    more, written = made
    delimiter, end, has_bom = form
    path = scratch / "notes.csv"
    with path.open("w", encoding="utf-8-sig" if has_bom else "utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerow(["text", "timestamp", "importance", *more])
        for row, cells in written:
            at = repr(float(row["timestamp"])) if abs(row["timestamp"]) > 1e-3 else "0.0"
            writer.writerow([row["text"], at, row.get("importance", ""), *cells[: len(more)]])
    read = list(read_csv(path, delimiter=delimiter))
    assert len(read) == len(written)
    for episode, (row, cells) in zip(read, written, strict=True):
        assert episode.text == row["text"]
        assert episode.timestamp == pytest.approx(row["timestamp"], abs=1e-3)
        assert episode.importance == row.get("importance", 5)
        assert episode.payload == dict(zip(more, cells[: len(more)], strict=True))


@settings(max_examples=15)
@given(st.lists(rows, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_a_repeated_import_has_no_effect(
    scratch: Path, made: list[Any], shuffle: random.Random
) -> None:
    written = [{**row, "timestamp": abs(row["timestamp"]) % 1e6, "id": i} for i, row in enumerate(made)]
    states: list[dict[UUID, Any]] = []
    for order in (written, shuffle.sample(written, len(written))):
        path = write_lines(scratch / "ordered.jsonl", order)
        with create_memory("TEST") as memory:
            memory._store.clock = lambda: NOW_S
            assert load(memory, read_jsonl(path), batch=2) == Loaded(len(made), 0)
            n_events = memory.stats()["events"]
            assert load(memory, read_jsonl(path), batch=3) == Loaded(0, len(made))
            assert memory.stats()["events"] == n_events
            states.append({record.id: record for record in memory})
    assert states[0] == states[1]


def test_fields_are_found_by_the_names_given(tmp_path: Path) -> None:
    row = {"note": "Ada", "at": "1970-01-02 01:00", "key": 7, "weight": 9, "labels": ["b", "a"], "text": "kept"}
    path = write_lines(tmp_path / "a.jsonl", [row])
    fields = Fields(text="note", time="at", id="key", importance="weight", tags="labels")
    (episode,) = read_jsonl(path, fields=fields, timezone="Europe/Berlin")
    assert (episode.text, episode.timestamp, episode.importance, episode.tags) == ("Ada", 86_400, 9, ("a", "b"))
    assert episode.payload == {"text": "kept"}
    table = tmp_path / "a.csv"
    table.write_text("note,at,key,weight,labels,text\nAda,1970-01-02 01:00,7,9,b; a;,kept\n")
    assert list(read_csv(table, fields=fields, timezone="Europe/Berlin")) == [episode]


def test_ids_are_the_sources_or_made_of_the_content(tmp_path: Path) -> None:
    one, row = "6f1c7a52-4c0b-4f0e-9a53-0d7a3c1f2b11", {"text": "x", "timestamp": 0}
    ids = [7, "7", "seven", one, None]
    path = write_lines(tmp_path / "a.jsonl", [{**row, "id": id} for id in ids] + [{**row, "text": "y"}, row])
    found = [episode.id for episode in read_jsonl(path)]
    assert found[0] == found[1]
    assert found[3] == UUID(one)
    assert found[4] == found[6]
    assert len(set(found)) == 5
    assert [str(found[0]), str(found[4])] == [
        "5cd66ce9-eea4-52c2-9491-a112c02ff999",
        "98bd3ace-a5d6-5090-87f4-c94d69102523",
    ]


BAD_LINES = {
    "no JSON": ("{", "the document is not JSON"),
    "no object": ("[1]", "the line must be a JSON object"),
    "NaN": ('{"text": "x", "timestamp": NaN}', "NaN is not JSON"),
    "a key twice": ('{"text": "x", "text": "y", "timestamp": 0}', "the key 'text' stands twice"),
    "no text": ('{"timestamp": 0}', "the fields must have 'text' among them, got ['timestamp']"),
    "no time": ('{"text": "x"}', "the fields must have 'timestamp' among them, got ['text']"),
    "blank text": ('{"text": " ", "timestamp": 0}', "text must be a text that holds words, got ' '"),
    "a number for a text": ('{"text": 7, "timestamp": 0}', "text must be a text that holds words, got 7"),
    "a naive time": ('{"text": "x", "timestamp": "2026-03-01T12:00"}', "timestamp must say its offset from UTC"),
    "milliseconds": ('{"text": "x", "timestamp": 1772323200000}', "timestamp must be POSIX seconds between"),
    "the future": ('{"text": "x", "timestamp": 2000000001}', "the time must not lie after 2033-05-18T03:33:20Z"),
    "a broken importance": ('{"text": "x", "timestamp": 0, "importance": 7.5}', "importance must be an integer"),
    "tags as text": ('{"text": "x", "timestamp": 0, "tags": "a"}', "tags must be a list of strings, got 'a'"),
    "an id that is none": ('{"text": "x", "timestamp": 0, "id": [1]}', "id must be a text or an integer, got [1]"),
    "an empty id": ('{"text": "x", "timestamp": 0, "id": ""}', "id must be a text or an integer, got ''"),
    "NUL": (r'{"text": "x\u0000", "timestamp": 0}', "contains NUL"),
    "half a character": (r'{"text": "\ud800", "timestamp": 0}', "contains a lone surrogate"),
    "a deep payload": (
        '{"text": "x", "timestamp": 0, "p": ' + "[" * 33 + "]" * 33 + "}",
        "payload.p is nested deeper than 32",
    ),
    "another of that id": ('{"text": "y", "timestamp": 0, "id": 1}', "its id stands for something else at line 1"),
    "too long a line": ('{"text": "' + "x" * 3_000_000 + '"}', "bytes; at most 1,000,000 are accepted"),
    "too large a record": (
        '{"text": "' + "x" * 991_000 + '", "timestamp": 0}',
        "bytes; at most 990,000 are accepted",
    ),
}
GOOD = '{"text": "x", "timestamp": 0, "id": 1}'


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_and_stops_before_its_batch(name: str, tmp_path: Path) -> None:
    line, reason = BAD_LINES[name]
    path = tmp_path / "notes.jsonl"
    last = '{"text": "last", "timestamp": 5, "id": 3}'
    path.write_text(f"{GOOD}\n\n{line}\n{last}\n", "utf-8")
    with create_memory("TEST") as memory:
        memory._store.clock = lambda: NOW_S
        with pytest.raises(SerializationError) as caught:
            load(memory, read_jsonl(path, latest_s=NOW_S))
        assert len(memory) == 0
        assert str(caught.value).startswith("notes.jsonl, line 3: ")
        assert reason in str(caught.value)
        assert len(str(caught.value)) < 300
        refused: list[Refusal] = []
        assert load(memory, read_jsonl(path, latest_s=NOW_S, on_refusal=refused.append)) == Loaded(2, 0)
        assert [str(one) for one in refused] == [str(caught.value)]


def test_a_line_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + GOOD.encode().replace(b'"x"', b'"\xff"'))
    with pytest.raises(SerializationError, match=r"^notes.jsonl, line 2: the document is not UTF-8 at byte 10$"):
        list(read_jsonl(path))


BAD_ROWS = {
    "too few cells": ("x", "the row has 1 cells, and the header 4"),
    "too many cells": ("x,0,5,1,1", "the row has 5 cells, and the header 4"),
    "an open quote": ('"x,0,5,1', "the row is not comma-separated: unexpected end of data"),
    "a quote in the middle": ('"x"y,0,5,1', "the row is not comma-separated"),
    "a blank text": (" ,0,5,1", "text must be a text that holds words, got ' '"),
    "NaN for a time": ("x,NaN,5,1", "timestamp must be ISO 8601"),
    "no time": ("x,,5,1", "timestamp must be ISO 8601"),
    "NaN for an importance": ("x,0,nan,1", "importance must be an integer, got 'nan'"),
    "a broken importance": ("x,0,7.0,1", "importance must be an integer, got '7.0'"),
    "a strange digit": ("x,0,²,1", "importance must be an integer, got '²'"),
    "NUL": ("x\0,0,5,1", "contains NUL"),
    "another of that id": ("y,0,5,1", "its id stands for something else at line 2"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_and_the_next_ones_can_be_read(name: str, tmp_path: Path) -> None:
    row, reason = BAD_ROWS[name]
    path = tmp_path / "notes.csv"
    good = '"x",0,5,1\n"two\nlines",0,5,2\n'
    is_open = name == "an open quote"
    path.write_text(f"text,timestamp,importance,id\n{good}{row}\n" + ("" if is_open else "last,0,5,3\n"), "utf-8")
    with pytest.raises(SerializationError) as caught:
        list(read_csv(path))
    assert str(caught.value).startswith("notes.csv, line 5: ")
    assert reason in str(caught.value)
    refused: list[Refusal] = []
    read = list(read_csv(path, on_refusal=refused.append))
    assert [episode.text for episode in read] == ["x", "two\nlines", *([] if is_open else ["last"])]
    assert [str(one) for one in refused] == [str(caught.value)]


def test_a_row_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(b"text,timestamp\nx,0\n\xff,0\ny,0\n")
    refused: list[Refusal] = []
    assert [episode.text for episode in read_csv(path, on_refusal=refused.append)] == ["x", "y"]
    assert [str(one) for one in refused] == ["notes.csv, line 3: the line is not UTF-8 at byte 1"]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "the header must name the column 'text'"),
        ("text", "the header must name the column 'timestamp'"),
        ("text,timestamp,at,at", "the header names twice the column 'at'"),
        ("text,timestamp,", "the header must name every column, and not ''"),
        ("text,timestamp,\xff", "the line is not UTF-8 at byte 16"),
    ],
)
def test_a_bad_header_is_never_skipped(header: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(f"{header}\nx,0,1,1\n".encode("latin-1"))
    refused: list[Refusal] = []
    with pytest.raises(SerializationError) as caught:
        list(read_csv(path, on_refusal=refused.append))
    assert str(caught.value).startswith(f"notes.csv, line {1 if header else 2}: {reason}")
    assert not refused


def test_a_field_that_is_named_must_be_there(tmp_path: Path) -> None:
    for field in ("id", "importance", "tags"):
        fields = Fields(**{field: "typo"})
        with pytest.raises(SerializationError, match=r"line 1: the fields must have 'typo' among them"):
            list(read_jsonl(write_lines(tmp_path / "a.jsonl", [json.loads(GOOD)]), fields=fields))


@pytest.mark.parametrize("names", [{"text": "a", "time": "a"}, {"id": "text"}, {"tags": ""}])
def test_fields_have_names_of_their_own(names: dict[str, str]) -> None:
    with pytest.raises(InvalidParameterError, match="fields must be five different names"):
        Fields(**names)


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "a", "\0"])
def test_a_delimiter_that_is_none_is_refused(delimiter: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="delimiter must be one character"):
        read_csv(tmp_path / "a.csv", delimiter=delimiter)


@pytest.mark.parametrize("read", [read_jsonl, read_csv])
def test_a_file_that_cannot_be_opened_is_named(read: Any, tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "\0", "be read"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            list(read(path))


@given(st.binary(max_size=200))
def test_no_bytes_crash_a_reader(scratch: Path, data: bytes) -> None:
    path = scratch / "any"
    path.write_bytes(data)
    refused: list[Refusal] = []
    found: list[Episode] = list(read_jsonl(path, on_refusal=refused.append))
    assert bool(found or refused) is any(line.strip() for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    path.write_bytes(b"text,timestamp\n" + data)
    list(read_csv(path, on_refusal=refused.append))

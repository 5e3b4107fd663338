"""Laws of dumps of version 1: every entry is a record or is named, and nothing is ever unpickled."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.ingest import LegacyDump, read_legacy
from soma.ingest.legacy_keys import is_pickle, parse_key
from soma.testing.strategies import json_objects

MAPPED = ("task", "timestamp", "importance", "memory_type", "coordinate", "v1")
numbers = st.floats(-1e300, 1e300) | st.integers(-(2**53), 2**53)
coordinates = st.lists(numbers, min_size=1, max_size=4).map(tuple)
spaces = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
values = st.tuples(
    st.fixed_dictionaries(
        {"timestamp": st.integers(0, 2**30)},
        optional={
            "task": st.sampled_from(["Fix the clock", "x"]),
            "importance": st.integers(-9, 9),
            "memory_type": st.sampled_from(["episodic", "semantic"]),
        },
    ),
    json_objects().map(lambda more: {k: v for k, v in more.items() if k not in MAPPED}),
).map(lambda pair: pair[1] | pair[0])
dumps = st.dictionaries(st.tuples(spaces, coordinates), values, max_size=4)


def write(path: Path, entries: dict[str, Any], form: str = "object") -> Path:
    if form == "lines":
        entry_lines = [json.dumps({"key": key, "value": value}) for key, value in entries.items()]
        path.write_text("\n".join(entry_lines) + "\n", "utf-8")
    else:
        path.write_text(json.dumps(entries, indent=2), "utf-8")
    return path


def key(space: str, coordinate: tuple[float, ...], suffix: str = "data") -> str:
    return f"{space}:{coordinate!r}:{suffix}"


@given(dumps, st.sampled_from(["object", "lines"]), st.booleans())
def test_every_memory_comes_back(scratch: Path, made: dict[Any, Any], form: str, is_text: bool) -> None:
    entries = {}
    for (space, place), value in made.items():
        whole = value | {"coordinate": list(place)}
        entries[key(space, place)] = json.dumps(whole) if is_text else whole
    path = write(scratch / "dump.json", entries, form if entries else "object")
    dump = read_legacy(path)
    assert dump == read_legacy(path)
    assert not dump.left_out
    assert dump.namespaces == tuple(sorted({space for space, _ in made}))
    found = {(name, record.coordinate): record for name in dump.namespaces for record in dump.records[name]}
    assert len(found) == len(made) == len({record.id for record in found.values()})
    for (space, place), value in made.items():
        record = found[space, tuple(float(x) for x in place)]
        assert (record.namespace, record.timestamp) == (space, value["timestamp"])
        assert (record.text, record.importance) == (value.get("task"), value.get("importance", 5))
        assert record.memory_type == value.get("memory_type", "episodic")
        assert record.payload == {name: field for name, field in value.items() if name not in MAPPED}


def read(tmp_path: Path, entries: dict[str, Any], **more: Any) -> LegacyDump:
    return read_legacy(write(tmp_path / "dump.json", entries), **more)


def test_times_and_counts_come_from_the_meta(tmp_path: Path) -> None:
    meta = {"creation_timestamp": "100.5", "last_accessed_timestamp": 200, "access_count": "3"}
    dump = read(
        tmp_path,
        {
            "lab:(1.0,):data": {"fact": "clocks tick", "memory_type": "semantic"},
            "lab:(1.0,):meta": meta,
            "lab:(2.0,):meta": json.dumps({"creation_timestamp": 7}),
            "lab:(2.0,):data": {"task": "x", "timestamp": 9, "importance": 2.5},
        },
    )
    first, second = dump.records["lab"]
    assert (first.timestamp, first.text, first.searchable_text, first.memory_type) == (
        100.5,
        None,
        "clocks tick",
        "semantic",
    )
    assert first.payload["v1"] == {"created": 100.5, "last_accessed": 200, "access_count": 3}
    assert (second.timestamp, second.importance, second.payload["importance"]) == (9, 2, 2.5)
    assert not dump.left_out
    assert str(first.id) == "4954c2e1-7f62-58c8-a995-89afd6cc6cb0"


def test_a_memory_without_a_time_gets_the_one_given_or_is_left_out(tmp_path: Path) -> None:
    entries = {"lab:(1.0,):data": {"task": "x"}}
    assert read(tmp_path, entries, undated=7).records["lab"][0].timestamp == 7
    (gone,) = read(tmp_path, entries).left_out
    assert str(gone).startswith("lab:(1.0,):data: it has no timestamp, and no :meta with a creation_timestamp")
    assert read(tmp_path, entries).namespaces == ()


PICKLED = base64.b64encode(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.").decode()
GOOD = {"task": "x", "timestamp": 0}
LEFT_OUT = {
    "a log": ("lab:wal:7", {}, "it is no memory"),
    "another suffix": ("lab:(1.0,):lock", "1", "it is no memory"),
    "a pickle": ("lab:(1.0,):data", PICKLED, "it is a pickle, which can run code when it is read and never is"),
    "a pickle as text": ("lab:(1.0,):data", "\x80\x04\x95.", "it is a pickle"),
    "a pickle in lines": ("lab:(1.0,):data", "(dp0\nS'a'\np1\n.", "it is a pickle"),
    "text that is no JSON": ("lab:(1.0,):data", "{", "the document is not JSON"),
    "a list": ("lab:(1.0,):data", [1], "the value must be a JSON object"),
    "code for a coordinate": ("lab:(print(1),):data", GOOD, "the coordinate must be a tuple of numbers"),
    "one number": ("lab:(1.0):data", GOOD, "the coordinate must be a tuple of numbers"),
    "too many numbers": (f"lab:{(1.0,) * 65!r}:data", GOOD, "the coordinate must have 1 to 64 numbers"),
    "an infinite number": ("lab:(1e999,):data", GOOD, "the coordinate must be finite numbers"),
    "a huge number": (f"lab:({'9' * 390},):data", GOOD, "the coordinate must be finite numbers"),
    "zeros in front": ("lab:(01,):data", GOOD, "the coordinate must be a tuple of numbers"),
    "a namespace that is none": ("a b:(1.0,):data", GOOD, "namespace must be 1 to 128 letters"),
    "another coordinate": ("lab:(1.0,):data", GOOD | {"coordinate": [2.0]}, "coordinate must be that of the key"),
    "an odd type": ("lab:(1.0,):data", GOOD | {"memory_type": "dream"}, 'memory_type must be "episodic" or "semantic"'),
    "an odd importance": ("lab:(1.0,):data", GOOD | {"importance": "high"}, "importance must be a finite number"),
    "an odd time": ("lab:(1.0,):data", GOOD | {"timestamp": "now"}, "timestamp must be ISO 8601"),
    "a huge payload": ("lab:(1.0,):data", GOOD | {"x": "x" * 995_000}, "bytes; at most 990,000 are accepted"),
    "NUL": ("lab:(1.0,):data", GOOD | {"x": "\0"}, "contains NUL"),
    "the same coordinate": ("lab:(0,):data", GOOD, "another memory of the dump has the same coordinate"),
    "a lone meta": ("lab:(1.0,):meta", {"access_count": 1}, "no memory was read to which it belongs"),
    "an odd meta": ("lab:(0.0,):meta", {"access_count": "x"}, "access_count must be a finite number, got 'x'"),
    "a meta with more": ("lab:(0.0,):meta", {"ttl": 1}, "the meta must hold none but creation_timestamp"),
    "a pickled meta": ("lab:(0.0,):meta", PICKLED, "it is a pickle"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_named(name: str, tmp_path: Path) -> None:
    bad, value, reason = LEFT_OUT[name]
    dump = read(tmp_path, {"lab:(0.0,):data": GOOD, bad: value, "den:(0.0,):data": GOOD})
    assert dump.namespaces == ("den", "lab")
    assert [len(dump.records[space]) for space in dump.namespaces] == [1, 1]
    (gone,) = dump.left_out
    assert gone.key == bad
    assert reason in gone.reason


def test_a_meta_goes_with_its_memory(tmp_path: Path) -> None:
    meta = {"access_count": 1}
    entries = {"lab:(1.0,):meta": meta, "lab:(1.0,):data": "{"}
    assert [gone.key for gone in read(tmp_path, entries).left_out] == [*entries]
    entries = {"lab:(1.0,):meta": meta, "lab:(1.0,):data": GOOD | {"v1": 1}}
    assert "its payload has a field v1" in read(tmp_path, entries).left_out[1].reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dump.pkl", b"{}"),
        ("dump.PICKLE", b"{}"),
        ("dump.json", b"\x80\x04\x95\x05."),
        ("dump.json", PICKLED.encode()),
        ("dump.json", base64.b64encode(b"\x80\x02}q\x00.")),
        ("dump.json", base64.b64encode(b"\x80\x05" + b"\x95" * 100_000)),
        ("dump.json", base64.encodebytes(b"\x80\x03" + b"\x95" * 1_000)),
        ("dump.json", b"(dp0\nS'a'\np1\nI1\ns."),
        ("dump.json", b"cos\nsystem\n(S'true'\ntR."),
        ("dump.json", repr(b"\x80\x04\x95").encode()),
        ("dump.json", b'"' + PICKLED.encode() + b'"'),
    ],
)
def test_a_file_that_is_a_pickle_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(
        ConfigurationError, match=f"^{name} is refused: it is a pickle, which can run code .* give the JSON"
    ):
        read_legacy(path)


@pytest.mark.parametrize("text", ['{"task": "gASV"}', "[]", "gAS V", "a gASV", "plain text.", "c: hello\nworld.", ""])
def test_what_is_no_pickle_is_not_called_one(text: str) -> None:
    assert not is_pickle(text)
    assert not is_pickle(text.encode())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "dump.json, line 1, column 1: the document is not JSON"),
        (b"[1]", "dump.json: a dump must be a JSON object from keys to values, or lines of entries"),
        (b'{"a": 1, "a": 2}', "dump.json: the key 'a' stands twice"),
        (
            b'{"key": "a", "value": 1}\n{"key": "a", "value": 2}',
            "dump.json, line 2: the key 'a' stands twice in the dump",
        ),
        (b'{"key": "a", "value": 1}\n\n[]', "dump.json, line 3: the line must be an object of a key and a value"),
        (b'{"key": "a", "value": 1}\n{"a": 1, "a": 2}', "dump.json, line 2: the key 'a' stands twice in one object"),
        (b'{"key": "a", "value": 1}\n{', "dump.json, line 2, column 2: the document is not JSON"),
    ],
)
def test_a_file_that_is_no_dump_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    path.write_bytes(content)
    with pytest.raises(SerializationError) as caught:
        read_legacy(path)
    assert str(caught.value).startswith(reason)
    with pytest.raises(ConfigurationError, match="does not exist: give a JSON dump of version 1"):
        read_legacy(tmp_path / "none.json")


def test_coordinates_of_numpy_are_numbers() -> None:
    assert parse_key("lab", "(np.float64(0.25), np.int64(-3), 1e-3)") == ("lab", (0.25, -3.0, 0.001))


@given(st.text(alphabet="()[]{}., 0123456789eE+-xnpfloat_'\"\\", max_size=30))
def test_only_tuples_of_numbers_are_coordinates(text: str) -> None:
    try:
        _, coordinate = parse_key("lab", text)
    except InvalidParameterError:
        return
    assert text.strip().startswith("(")
    assert all(isinstance(number, float) for number in coordinate)


@given(st.binary(max_size=80))
def test_no_bytes_crash_it(scratch: Path, data: bytes) -> None:
    path = scratch / "any.json"
    path.write_bytes(data)
    with pytest.raises((ConfigurationError, SerializationError)):
        read_legacy(path)
    path.write_bytes(json.dumps({"lab:(1.0,):data": data.decode("latin-1")}).encode())
    assert len(read_legacy(path).left_out) == 1

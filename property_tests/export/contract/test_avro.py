"""Laws of the Avro format: what is read is what was written, and bytes that are no body say why.

The registry is a real HTTP server in the process of the test, which speaks the documented REST interface.
"""

from __future__ import annotations

import copy
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests.export.contract.test_json_schema import EXAMPLES, all_events, parse, value_of
from soma.errors import (
    ConfigurationError,
    InvalidParameterError,
    NotFoundError,
    SerializationError,
    StoreBusyError,
    StoreError,
)
from soma.state.events import EVENT_TYPES, Event
from soma_export.contract import Codec, JsonFormat, Message, Position
from soma_export.contract.avro import AvroFormat, ConfluentRegistry, avro_schemas, subject_of
from soma_export.contract.compatibility import avro_backward
from soma_export.contract.json_schema import VERSION, load, shapes


class RegistryServer(ThreadingHTTPServer):
    """The part of a schema registry that a client needs; a subject's schemas stay backward compatible."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RegistryRequest)
        self.schemas: list[str] = []
        self.subjects: dict[str, list[str]] = {}
        self.requests: list[str] = []
        self.failure: tuple[int, bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, schema: str) -> int:
        known = [_parsed(one) for one in self.schemas]
        if _parsed(schema) not in known:
            self.schemas.append(schema)
            return len(self.schemas)
        return known.index(_parsed(schema)) + 1


def _parsed(schema: str) -> Any:
    try:
        return json.loads(schema)
    except ValueError:  # what a test plants
        return schema


class RegistryRequest(BaseHTTPRequestHandler):
    server: RegistryServer

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests quiet."""

    def answer(self, status: int, body: Any) -> None:
        self.server.requests.append(f"{self.command} {urlsplit(self.path).path}")
        content = json.dumps(body).encode()
        if self.server.failure is not None:
            status, content = self.server.failure
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        id = int(urlsplit(self.path).path.removeprefix("/schemas/ids/"))
        if 1 <= id <= len(self.server.schemas):
            self.answer(200, {"schema": self.server.schemas[id - 1]})
        else:
            self.answer(404, {"error_code": 40403, "message": f"Schema {id} not found"})

    def do_POST(self) -> None:
        subject = unquote(urlsplit(self.path).path.removeprefix("/subjects/").removesuffix("/versions"))
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        schema, earlier = sent["schema"], self.server.subjects.setdefault(subject, [])
        if any(avro_backward(json.loads(one), json.loads(schema)) for one in earlier):
            self.answer(409, {"error_code": 409, "message": "Schema being registered is incompatible"})
        else:
            earlier.append(schema)
            self.answer(200, {"id": self.server.add(schema)})


@contextmanager
def serving() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def client_of(url: str) -> Iterator[ConfluentRegistry]:
    with closing(ConfluentRegistry(url, timeout_s=5.0, max_retries=0)) as registry:
        yield registry


@pytest.fixture(autouse=True, scope="module")
def _no_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with serving() as running:
        yield running


@pytest.fixture
def avro(server: RegistryServer) -> Iterator[AvroFormat]:
    with client_of(server.url) as registry:
        yield AvroFormat(registry)


@pytest.fixture(scope="module")
def shared() -> Iterator[AvroFormat]:
    with serving() as running, client_of(running.url) as registry:
        yield AvroFormat(registry)


def exact(value: Any) -> str:
    """Return JSON that tells 1 from 1.0 and 0.0 from -0.0."""
    return json.dumps(value, sort_keys=True)


# What is read is what was written


@given(all_events())
def test_what_is_decoded_was_encoded(shared: AvroFormat, event: Event) -> None:
    value = value_of(event)
    data = shared.encode(event.type, value)
    assert data[0] == 0
    assert exact(shared.decode(event.type, data)) == exact(value)


@given(all_events())
def test_an_event_comes_back_from_a_message(shared: AvroFormat, event: Event) -> None:
    codec = Codec(JsonFormat(), shared)
    sent = Codec(shared).encode(event)
    assert codec.decode(Message(Position("t", 0, 0), 0.0, sent.key, sent.value, sent.headers))[0] == event


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_null_is_kept_from_an_absent_field(shared: AvroFormat, event: Event, data: st.DataObject) -> None:
    value = value_of(event)
    optional = [field.name for field in shapes()[event.type].fields if not field.is_required]
    for name in data.draw(st.sets(st.sampled_from(optional)) if optional else st.just(set())):
        nullable = next(field.is_nullable for field in shapes()[event.type].fields if field.name == name)
        value = {**value, name: None} if nullable else {n: v for n, v in value.items() if n != name}
    assert exact(shared.decode(event.type, shared.encode(event.type, value))) == exact(value)


def test_whole_numbers_equal_themselves_and_unknown_fields_of_inner_objects_travel(avro: AvroFormat) -> None:
    value = value_of(EXAMPLES[6])
    value |= {"at": 5, "projector": {"seed": 1, "embedding_dimension": 2, "later": [1, 1.5]}, "extras": {"a": 1}}
    assert avro.decode("namespace.registered", avro.encode("namespace.registered", value)) == value


RECORDED = {
    "memory.created": (
        "00000000014830303030303030302d303030302d303030302d303030302d30303030303030303030303104000000000000d0"
        "3f59f3f8c21f6ea58100000000000818f5400e627b226e223a5b312c312e302c2d302e302c6e756c6c2c7b2264656570223a"
        "747275657d5d2c226e6f7465223a22c3a9227d066c61620202049a9999999999b93f000000000000f03f00020e6d6f64656c"
        "2d31020c6120746578740204026102620000020000000065cdcd4102000000000018f5400400000000000000000000000000"
        "00e03f000402000000000088f340000000001418f540022e7b226d6f6f64223a5b312c7b2261223a6e756c6c7d5d7d"
    ),
    "memory.updated": (
        "00000000024830303030303030302d303030302d303030302d303030302d30303030303030303030303104000000000000d0"
        "3f59f3f8c21f6ea58100000000000818f5400e627b226e223a5b312c312e302c2d302e302c6e756c6c2c7b2264656570223a"
        "747275657d5d2c226e6f7465223a22c3a9227d066c61620202049a9999999999b93f000000000000f03f00020e6d6f64656c"
        "2d31020c61207465787402040261026200020100000000001418f540022e7b226d6f6f64223a5b312c7b2261223a6e756c6c"
        "7d5d7d"
    ),
    "memory.deleted": (
        "0000000003066c61624830303030303030302d303030302d303030302d303030302d30303030303030303030303118636f6e"
        "736f6c696461746564024830303030303030302d303030302d303030302d303030302d303030303030303030303032000000"
        "001418f54000"
    ),
    "memory.recalled": (
        "0000000004066c61624830303030303030302d303030302d303030302d303030302d3030303030303030303030319a999999"
        "9999b93f000000001418f54000"
    ),
    "memory.linked": (
        "0000000005066c61624830303030303030302d303030302d303030302d303030302d30303030303030303030303148303030"
        "30303030302d303030302d303030302d303030302d3030303030303030303030320c63617573656400000000000004400000"
        "00001418f54000"
    ),
    "memory.unlinked": (
        "0000000006066c61624830303030303030302d303030302d303030302d303030302d30303030303030303030303148303030"
        "30303030302d303030302d303030302d303030302d3030303030303030303030320c636175736564000000001418f5400216"
        "7b2273696e6365223a317d"
    ),
    "namespace.registered": (
        "0000000007066c6162040204000000000000000000000000000000000004000000000000f03f000000000000f03f00020e80"
        "040022000000000000c03f5b3991f043ffe13fc72be9e5583e04407d288b1236c5264071aaaa31d19c4940f09f914c3ecf6c"
        "40af079fbbe9339040e8b27781a839b240617b965a0780d440c9eccc51170ff74055bd7634ebef1941966cf5beb72c3d413e"
        "96a0e67b686041f544f187ca7482414d6ad6ea8ac2a441cbd24a46e859c741aed81dea473ef6410022aaaa40d60133034026"
        "92bf59481af23f637ed1849711e13f35dea9e60418d03f92d2c8e46659be3fa2f77676a59dac3f025eda773cfb9a3fd85857"
        "51b970893f3422fd95befc773fa30608ce029e663f35d710534f53553fdc2ae73c7f1b443f7dbb225e7ef5323f2a16864f48"
        "e0213febf55989e7da103f9f00ea13e9c8ff3ef8a1a175a359fc3e00000000000000e03f6e8a47f4cbd3713f000000000000"
        "f03f000000c04ecfb2410e626f756e64656400000000000000000000000000002440000000001418f54000"
    ),
}
"""`EXAMPLES` as version 1 wrote them, the schemas of version 1 having the ids 1, 2, ...: the format must not drift."""


def test_the_bytes_are_those_recorded(server: RegistryServer, avro: AvroFormat) -> None:
    ids = [server.add(json.dumps(load(name, 1, suffix="avsc"))) for name in RECORDED]
    assert ids == [1, 2, 3, 4, 5, 6, 7]
    for event in EXAMPLES:
        assert exact(avro.decode(event.type, bytes.fromhex(RECORDED[event.type]))) == exact(value_of(event))
    if VERSION == 1:
        assert {event.type: avro.encode(event.type, value_of(event)).hex() for event in EXAMPLES} == RECORDED


def test_a_known_body_is_laid_out_as_avro_says(avro: AvroFormat) -> None:
    text = b"00000000-0000-0000-0000-000000000001"
    by_hand = b"\0\0\0\0\1" + b"\x06lab" + b"\x48" + text + struct.pack("<dd", 0.1, 86_401.25) + b"\0"
    assert avro.encode("memory.recalled", value_of(EXAMPLES[3])) == by_hand


# Versions


def changed(event_type: str, change: Any) -> str:
    schema = copy.deepcopy(avro_schemas()[event_type])
    change(schema["fields"])
    return json.dumps(schema)


def rewritten(server: RegistryServer, schema: str, data: bytes) -> bytes:
    """Return bytes that name another schema."""
    return b"\0" + server.add(schema).to_bytes(4, "big") + data[5:]


def test_what_a_newer_writer_added_is_kept(server: RegistryServer, avro: AvroFormat) -> None:
    value = value_of(EXAMPLES[3])
    mood = {"name": "mood", "type": ["null", {"type": "array", "items": "string"}], "default": None}
    schema = changed("memory.recalled", lambda fields: fields.insert(0, mood))
    body = avro.encode("memory.recalled", value)[5:]
    glad = rewritten(server, schema, b"....." + b"\x02\x02\x08glad\0" + body)
    assert avro.decode("memory.recalled", glad) == {**value, "mood": ["glad"]}
    assert parse("memory.recalled", avro.decode("memory.recalled", glad)).extras == {"mood": ["glad"]}
    assert avro.decode("memory.recalled", rewritten(server, schema, b"....." + b"\0" + body)) == value


def test_what_an_older_writer_lacked_is_absent(server: RegistryServer, avro: AvroFormat) -> None:
    value = value_of(EXAMPLES[2])
    data = avro.encode("memory.deleted", {name: field for name, field in value.items() if name != "into"})
    schema = changed("memory.deleted", lambda fields: fields.pop([f["name"] for f in fields].index("into")))
    start = data.index(b"consolidated") + len(b"consolidated")
    older = rewritten(server, schema, data[:start] + data[start + 1 :])
    assert avro.decode("memory.deleted", older) == {n: v for n, v in value.items() if n != "into"}


def test_a_later_kind_of_memory_is_read_as_the_default(server: RegistryServer, avro: AvroFormat) -> None:
    def add(fields: list[dict[str, Any]]) -> None:
        next(f for f in fields if f["name"] == "memory_type")["type"]["symbols"].insert(0, "procedural")

    value = value_of(EXAMPLES[0])
    data = avro.encode("memory.created", {**value, "memory_type": "episodic"})
    assert avro.decode("memory.created", rewritten(server, changed("memory.created", add), data)) == {
        **value,
        "memory_type": "episodic",
    }


def test_a_field_that_stands_twice_is_refused(server: RegistryServer, avro: AvroFormat) -> None:
    value = value_of(EXAMPLES[3])
    data = avro.encode("memory.recalled", {**value, "Weight": 1})
    with pytest.raises(SerializationError, match="holds 'weight' twice"):
        avro.decode("memory.recalled", data.replace(b'"Weight"', b'"weight"'))


# Bytes that are no body


def test_bytes_that_are_no_body_say_why(server: RegistryServer, avro: AvroFormat) -> None:
    recalled = avro.encode("memory.recalled", value_of(EXAMPLES[3]))
    deleted = avro.encode("memory.deleted", value_of(EXAMPLES[2]))
    linked = avro.encode("memory.linked", {**value_of(EXAMPLES[4]), "later": 1})
    for data, complaint in (
        (b"", "does not begin with byte 0"),
        (recalled[:4], "does not begin with byte 0"),
        (b"\1" + recalled[1:], "does not begin with byte 0"),
        (b"{}" + recalled, "does not begin with byte 0"),
        (b"\0\0\0\0\x63" + recalled[5:], "no schema with the id 99"),
        (b"\0\xff\xff\xff\xff" + recalled[5:], "no schema with the id 4294967295"),
        (recalled + b"\0", "1 bytes after its end"),
        (recalled[:-1], "cannot be read as Avro"),
        (recalled[:5], "cannot be read as Avro"),
        (deleted, "cannot be read as Avro"),
        (recalled.replace(b"lab", b"\xff\xfe\xfd"), "cannot be read as Avro"),
        (recalled[:5] + b"\xff" * 12, "cannot be read as Avro"),
        (recalled + b"\0" * 1_000_000, "at most 1,000,000"),
        (rewritten(server, '"string"', recalled), "no Avro record"),
        (rewritten(server, '{"type": "object"}', recalled), "no Avro record"),
        (rewritten(server, "nonsense", recalled), "no Avro record"),
    ):
        with pytest.raises(SerializationError, match=complaint) as caught:
            avro.decode("memory.recalled", data)
        assert len(str(caught.value)) < 400
        assert "\n" not in str(caught.value)
    for broken, complaint in (
        (b'["later":1}', "not JSON"),
        (b'"later\\u0000"', "not JSON"),
        (b'["later",1]', "JSON obj"),
    ):
        with pytest.raises(SerializationError, match=complaint):
            avro.decode("memory.linked", linked.replace(b'{"later":1}', broken[:11].ljust(11)))
    with pytest.raises(SerializationError, match=r"'memory\.dreamt' is unknown"):
        avro.decode("memory.dreamt", recalled)
    with pytest.raises(SerializationError, match=r"'memory\.dreamt' is unknown"):
        avro.encode("memory.dreamt", {})


@given(st.sampled_from(EXAMPLES), st.data())
def test_damaged_bytes_are_refused_or_read_never_worse(shared: AvroFormat, event: Event, data: st.DataObject) -> None:
    whole = bytearray(shared.encode(event.type, value_of(event)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(5, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=9))
    with suppress(SerializationError, InvalidParameterError):  # what a worker takes for poison
        parse(event.type, shared.decode(event.type, bytes(whole)))


@pytest.mark.parametrize(
    ("number", "change", "complaint"),
    [
        (0, {"importance": 7.5}, "importance holds 7.5"),
        (0, {"importance": True}, "importance holds True"),
        (0, {"importance": 2**53}, "importance holds"),
        (0, {"coordinate": [1, "2"]}, "coordinate holds '2'"),
        (0, {"coordinate": "12"}, "coordinate holds '12'"),
        (0, {"coordinate": [float("nan")]}, "coordinate holds nan"),
        (0, {"timestamp": "2026-03-01"}, "timestamp holds '2026-03-01'"),
        (0, {"payload": {"a": float("inf")}}, "finite"),
        (0, {"payload": {1: 2}}, "keys must be strings"),
        (0, {"payload": {"a": "b\0"}}, "NUL"),
        (0, {"payload": []}, "payload holds"),
        (0, {"text": "b\0"}, "NUL"),
        (0, {"text": "\ud800"}, "surrogate"),
        (0, {"text": "x" * 1_000_000}, "at most 1,000,000"),
        (0, {"memory_type": "procedural"}, "memory_type holds"),
        (0, {"pinned": 1}, "pinned holds 1"),
        (0, {"tags": None}, "tags holds None"),
        (0, {"mood": object()}, "cannot carry"),
        (3, {"weight": None}, "weight holds None"),
        (6, {"trace": 1}, "trace holds 1"),
        (6, {"frame": {"lower": [0.0]}}, "frame lacks 'upper'"),
        (6, {"frame": {"lower": [0.0], "upper": [1.0], "x": 1}}, "unknown field 'x'"),
    ],
)
def test_a_value_that_avro_cannot_carry_is_refused(
    number: int, change: dict[str, Any], complaint: str, avro: AvroFormat
) -> None:
    event = EXAMPLES[number]
    with pytest.raises(SerializationError, match=complaint):
        avro.encode(event.type, {**value_of(event), **change})
    with pytest.raises(SerializationError, match="lacks"):
        avro.encode(event.type, change)


# The registry


def test_each_schema_is_asked_for_once(server: RegistryServer, avro: AvroFormat) -> None:
    value = value_of(EXAMPLES[3])
    for _ in range(3):
        assert avro.decode("memory.recalled", avro.encode("memory.recalled", value)) == value
    asked = ["POST /subjects/memory.events-memory.recalled/versions"]
    assert server.requests == asked
    with client_of(server.url) as registry:
        another = AvroFormat(registry)
        for _ in range(3):
            assert another.decode("memory.recalled", avro.encode("memory.recalled", value)) == value
        assert server.requests == [*asked, "GET /schemas/ids/1"]
        assert another.encode("memory.recalled", value) == avro.encode("memory.recalled", value)


def test_what_is_registered_is_what_is_committed(server: RegistryServer, avro: AvroFormat) -> None:
    for event in EXAMPLES:
        avro.encode(event.type, value_of(event))
    registered = {subject: [json.loads(one) for one in schemas] for subject, schemas in server.subjects.items()}
    assert registered == {subject_of(name): [load(name, 1, suffix="avsc")] for name in EVENT_TYPES}


def test_a_schema_that_the_registry_refuses_is_no_fault_of_the_event(server: RegistryServer, avro: AvroFormat) -> None:
    other = json.dumps({"type": "record", "name": "Other", "fields": []})
    with client_of(server.url) as registry:
        registry.register(subject_of("memory.recalled"), other)
    with pytest.raises(ConfigurationError, match="incompatible"):
        avro.encode("memory.recalled", value_of(EXAMPLES[3]))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b'{"error_code": 50001, "message": "backend"}', StoreBusyError),
        (503, b"busy", StoreBusyError),
        (429, b"{}", StoreBusyError),
        (401, b'{"error_code": 401, "message": "who?"}', ConfigurationError),
        (404, b"<html>not here</html>", StoreError),
        (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}', StoreError),
        (302, b"", StoreError),
        (200, b"<html>", StoreError),
        (200, b"[]", StoreError),
        (200, b"{}", StoreError),
        (200, b'{"id": "one", "schema": 7}', StoreError),
        (204, b"", StoreError),
    ],
)
def test_a_registry_that_fails_never_condemns_an_event(
    status: int, body: bytes, kind: type[Exception], server: RegistryServer, avro: AvroFormat
) -> None:
    for name in RECORDED:
        server.add(json.dumps(load(name, 1, suffix="avsc")))
    value, data = value_of(EXAMPLES[3]), bytes.fromhex(RECORDED["memory.recalled"])
    server.failure = (status, body)
    for attempt in (lambda: avro.encode("memory.recalled", value), lambda: avro.decode("memory.recalled", data)):
        with pytest.raises(kind) as caught:
            attempt()
        assert type(caught.value) is kind
        assert not isinstance(caught.value, SerializationError | NotFoundError | InvalidParameterError)
    server.failure = None
    assert avro.decode("memory.recalled", data) == value
    assert avro.encode("memory.recalled", value) == data


def test_a_registry_that_is_away_is_waited_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        away = pytest.raises(StoreBusyError, match=f"registry at {address} does not answer")
        with client_of(f"http://ada:secret@{address}") as registry, away as caught:
            AvroFormat(registry).decode("memory.recalled", b"\0\0\0\0\1")
    assert caught.value.retry_after_s > 0
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8081", "ftp://127.0.0.1", "http://127.0.0.1:port", "http://[", ","])
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write it as http://host:port"):
        ConfluentRegistry(url)

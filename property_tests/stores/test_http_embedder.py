"""An embedder behind HTTP keeps the contract of every embedder, and says what is wrong with its server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import soma
from soma import Settings, create_memory
from soma.embedding import HashingEmbedder, HttpEmbedder
from soma.embedding.by_name import embedder_of
from soma.errors import ConfigurationError, InvalidParameterError
from soma.testing.embedders import check_embedder

KEY = "s3cret"
Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


def hashed(question: dict[str, Any], seed: str = "") -> tuple[int, bytes]:
    """Answer as a server of the hashing embedder does, the last text first."""
    rows = HashingEmbedder(dimension=16).embed([seed + text for text in question["input"]])
    data = [{"object": "embedding", "index": n, "embedding": row.tolist()} for n, row in enumerate(rows * 3)]
    return 200, json.dumps({"object": "list", "model": question["model"], "data": data[::-1]}).encode()


class Server:
    """A real server on a port of its own, whose answers a test may change."""

    def __init__(self) -> None:
        self.answer: Answer = hashed
        self.key: str | None = None
        self.asked: list[dict[str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(question)
                status, body = server.answer(question)
                if self.path != "/v1/embeddings":
                    status, body = 404, b"{}"
                elif server.key and self.headers["Authorization"] != f"Bearer {server.key}":
                    status, body = 401, b"{}"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_it_keeps_the_contract_of_every_embedder(server: Server) -> None:
    embedder = HttpEmbedder(server.url, "hash")
    texts = ["the clock is slow", "lunch", "Zürich 🙂", "the clock is slow"]
    check_embedder(embedder, texts)
    assert np.allclose(embedder.embed(texts), HashingEmbedder(dimension=16).embed(texts), atol=1e-6)
    assert embedder.revision.startswith("http-hash-d16@")
    assert embedder.revision == HttpEmbedder(server.url + "/", "hash").revision


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1, 1, 1]), (2, [2, 1]), (9, [3])])
def test_each_text_is_asked_for_once_in_batches(server: Server, batch: int, sizes: list[int]) -> None:
    embedder = HttpEmbedder(server.url, "hash", batch=batch)
    server.asked.clear()
    embedder.embed(["a", "b", " ", "a", "c"])
    assert [len(question["input"]) for question in server.asked] == sizes
    assert all(question["model"] == "hash" for question in server.asked)


def test_another_model_under_the_same_name_is_found_when_the_store_is_opened(server: Server, tmp_path: Path) -> None:
    name = f"{server.url}#hash"
    with soma.open(tmp_path, embedder=name) as memory:
        memory.remember("Ada fixed the clock")
    with soma.open(tmp_path) as memory:
        assert memory.recall("clock")[0].record.text == "Ada fixed the clock"
        assert memory.embedder.name == name
    server.answer = lambda question: hashed(question, "other ")
    with pytest.raises(ConfigurationError, match="soma reembed"):
        soma.open(tmp_path, embedder=name)
    with pytest.raises(ConfigurationError, match="is not at hand"):
        soma.open(tmp_path)


def test_the_key_is_sent_and_shown_and_kept_nowhere(server: Server, tmp_path: Path) -> None:
    server.key = KEY
    settings = Settings.from_environment(
        {"SOMA_PATH": str(tmp_path), "SOMA_EMBEDDER": f"{server.url}#hash", "SOMA_EMBEDDER_API_KEY": KEY}
    )
    with create_memory(settings=settings) as memory:
        memory.remember("Ada fixed the clock")
        assert KEY not in repr(memory.embedder) + memory.embedder.revision + repr(settings)
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    with pytest.raises(ConfigurationError, match="401") as caught:
        HttpEmbedder(server.url, "hash", api_key="wr0ng")
    assert "wr0ng" not in str(caught.value)
    assert "SOMA_EMBEDDER_API_KEY" in str(caught.value)


def test_the_key_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = KEY
    monkeypatch.setenv("SOMA_EMBEDDER_API_KEY", KEY)
    assert embedder_of(f"{server.url}#hash").dimension == 16


def test_what_may_pass_is_tried_again(server: Server) -> None:
    failures = iter([503, 429])

    def answer(question: dict[str, Any]) -> tuple[int, bytes]:
        return (status, b"busy") if (status := next(failures, 0)) else hashed(question)

    server.answer = answer
    assert HttpEmbedder(server.url, "hash").dimension == 16
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"<html>", "answers with no JSON"),
        (b"{}", "without an embedding for each text"),
        (b'{"data": []}', "without an embedding for each text"),
        (b'{"data": [{"index": 0, "embedding": ["a"]}]}', "without an embedding for each text"),
        (b'{"data": [{"index": 0, "embedding": []}]}', "no vectors of finite numbers"),
        (b'{"data": [{"index": 0, "embedding": [1, [2]]}]}', "without an embedding for each text"),
        (b'{"data": [{"index": 0, "embedding": [1e999]}]}', "the embedder at"),
    ],
)
def test_an_answer_that_is_none_is_an_error(server: Server, body: bytes, sentence: str) -> None:
    server.answer = lambda _: (200, body)
    with pytest.raises(ConfigurationError, match=sentence):
        HttpEmbedder(server.url, "hash")


def test_a_dimension_that_changes_is_an_error(server: Server) -> None:
    embedder = HttpEmbedder(server.url, "hash")
    server.answer = lambda _: (200, b'{"data": [{"index": 0, "embedding": [1, 2]}]}')
    with pytest.raises(ConfigurationError, match="gave 2 numbers where it gave 16 before"):
        embedder.embed(["a"])


def test_a_server_that_is_not_there_is_named(server: Server) -> None:
    server.close()
    with pytest.raises(ConfigurationError, match="cannot be reached: ConnectError"):
        HttpEmbedder(server.url, "hash")


def test_a_path_that_the_server_does_not_have_is_named_at_once(server: Server) -> None:
    with pytest.raises(ConfigurationError, match="refuses with 404"):
        HttpEmbedder(server.url + "/wrong", "hash")
    assert len(server.asked) == 1


@pytest.mark.parametrize("name", ["http://user:s3cret@h/v1#m", "http://h/v1", "http://#m", "https://h/v1?key=s3cret#m"])
def test_an_address_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        embedder_of(name)
    assert "s3cret" not in str(caught.value)


def test_a_batch_holds_at_least_one_text(server: Server) -> None:
    with pytest.raises(InvalidParameterError, match="batch must be an integer >= 1"):
        HttpEmbedder(server.url, "hash", batch=0)

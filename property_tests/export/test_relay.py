"""Dual write onto a real Kafka: the store is the truth, its log the outbox, and the fold of the topic equals it."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

import soma
from soma import Settings
from soma.cli import main
from soma.errors import ConfigurationError, NotFoundError, SomaError, StoreBusyError
from soma.factory import open_storage
from soma.stores.relayed import CURSOR
from soma.stores.sqlite import SqliteStorage
from soma_export.local.kafka import LocalKafka
from soma_export.parity import Parity, parity
from soma_export.settings import ExportSettings
from soma_export.wiring import Deployment


@pytest.fixture
def deployment(kafka_server: LocalKafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Make topics of this test's own, name them to the environment, and have no Postgres."""
    monkeypatch.setenv("SOMA_KAFKA_BOOTSTRAP", kafka_server.address)
    monkeypatch.setenv("SOMA_TOPIC_PREFIX", f"relay-{uuid4().hex[:8]}.")
    monkeypatch.delenv("SOMA_POSTGRES_DSN", raising=False)
    found = Deployment(ExportSettings.from_environment(is_postgres_needed=False))
    found.log.make(list(found.topics.to_make(3)))
    yield found
    found.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(path=tmp_path / "store", namespace="lab", is_dual_write=True)


def compared(deployment: Deployment, settings: Settings) -> Parity:
    storage = open_storage(settings, is_read_only=True)
    try:
        return parity(deployment, storage)
    finally:
        storage.close()


def live_a_little(memory: soma.Memory, n: int = 6) -> None:
    records = [memory.remember(f"note {i} about clocks", importance=i, tags=["a"]) for i in range(n)]
    for one, other in itertools.pairwise(records):
        memory.link(one.id, other.id, "next", 0.5)
    memory.recall("clocks", k=2, reinforce=True)
    memory.remember("changed", id=records[0].id)
    memory.unlink(records[1].id, records[2].id, "next")
    memory.forget(records[-1].id)


def test_the_fold_of_the_topic_is_the_store(deployment: Deployment, settings: Settings) -> None:
    with soma.open(settings.path, namespace="home") as memory:  # what was there before, in another namespace too
        live_a_little(memory)
    with soma.create_memory(settings=settings) as memory:
        live_a_little(memory)
        assert memory.stats()["unpublished"] == 0
        n_events = memory.stats()["events"]
    found = compared(deployment, settings)
    assert found.is_equal, found.differences
    assert (found.n_messages, found.n_memories) == (n_events - 2, 12)
    assert found.n_links == 8


WRITER = """
import sys, pathlib, soma
settings = soma.Settings(path=pathlib.Path(sys.argv[1]), namespace="lab", is_dual_write=True)
with soma.create_memory(settings=settings) as memory:
    for n in range(100_000):
        record = memory.remember(f"note {n} about clocks", importance=n % 10)
        if n % 3 == 0:
            memory.recall("clocks", k=2, reinforce=True)
        print(record.id, flush=True)
"""

STOPS = """
import sys, time
from soma_export.relay import KafkaRelay

def stop(self, events):
    print("stored, and not published", flush=True)
    time.sleep(600)

n_left, publish = int(sys.argv[2]), KafkaRelay.publish

def publish_some(self, events):
    global n_left
    n_left -= 1
    (publish if n_left >= 0 else stop)(self, events)

KafkaRelay.publish = publish_some
"""


def test_killed_between_commit_and_publish_nothing_is_lost(deployment: Deployment, settings: Settings) -> None:
    command = [sys.executable, "-c", STOPS + WRITER, settings.path, "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = list(iter(writer.stdout.readline, "stored, and not published\n"))
        writer.kill()
    with soma.open(settings.path, namespace="lab") as memory:  # it was stored, though nobody was told
        assert len(memory) >= len(lines)
        assert memory.stats()["unpublished"] > 0
    found = compared(deployment, settings)
    assert not found.is_equal
    assert found.n_behind > 0
    soma.create_memory(settings=settings).close()
    found = compared(deployment, settings)
    assert found.is_equal, found.differences
    assert found.n_memories >= len(lines)


def test_killed_at_any_moment_nothing_acknowledged_is_lost_on_either_side(
    deployment: Deployment, settings: Settings
) -> None:
    acknowledged: set[str] = set()
    wait = random.Random(3)
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, settings.path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged.add(writer.stdout.readline().strip())
            time.sleep(wait.uniform(0.05, 0.3))
            writer.kill()
            acknowledged |= {line.strip() for line in writer.stdout if len(line.strip()) == 36}
    with soma.create_memory(settings=settings) as memory:
        assert acknowledged <= {str(record.id) for record in memory}
        n_events = memory.stats()["events"]
    found = compared(deployment, settings)
    assert found.is_equal, found.differences
    assert found.n_messages >= n_events - 1  # some were published twice, and count once


def test_two_processes_write_to_both_sides(deployment: Deployment, settings: Settings) -> None:
    with soma.create_memory(settings=settings) as one, soma.create_memory(settings=settings) as two:
        for n in range(5):
            first = one.remember(f"note {n}")
            two.forget(first.id)
            two.remember(f"other {n}")
    assert compared(deployment, settings).is_equal


def test_kafka_lost_later_costs_no_write(
    deployment: Deployment, settings: Settings, kafka_server: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soma_export.relay.TIMEOUT_S", 1.0)
    with soma.create_memory(settings=settings) as memory:
        memory.remember("before")
        kafka_server.pause()
        for n in range(3):
            assert memory.remember(f"while Kafka is away {n}")
        assert memory.stats()["unpublished"] == 3
        assert len(memory) == 4
        kafka_server.resume()
        deadline = time.monotonic() + 60
        while memory.stats()["unpublished"]:
            assert time.monotonic() < deadline
            time.sleep(0.5)
            memory.remember("and after")
    found = compared(deployment, settings)
    assert found.is_equal, found.differences


def test_at_the_opening_whatever_is_missing_is_an_error(
    deployment: Deployment, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setenv("SOMA_TOPIC_PREFIX", "nobody-made.")
        with pytest.raises(NotFoundError, match="run `soma export init`"):
            soma.create_memory(settings=settings)
    with monkeypatch.context() as other:
        other.setenv("SOMA_KAFKA_BOOTSTRAP", "127.0.0.1:1")
        other.setattr("soma_export.relay.TIMEOUT_S", 0.5)
        with pytest.raises(StoreBusyError, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
            soma.create_memory(settings=settings)
    with monkeypatch.context() as other:
        other.delenv("SOMA_KAFKA_BOOTSTRAP")
        with pytest.raises(ConfigurationError, match="SOMA_KAFKA_BOOTSTRAP must name a server"):
            soma.create_memory(settings=settings)
    with soma.create_memory(settings=settings) as memory:
        memory.remember("registers the namespace")
    other_store = Settings(path=settings.path.parent / "other", namespace="lab", is_dual_write=True)
    with soma.open(other_store.path, namespace="lab", dimension=7) as memory:
        memory.remember("otherwise")
    with pytest.raises(SomaError, match="must keep the constants"):
        soma.create_memory(settings=other_store)


def test_without_the_packages_of_production_it_says_what_to_install(settings: Settings) -> None:
    script = "import sys\nsys.modules['confluent_kafka'] = None\n" + WRITER
    done = subprocess.run([sys.executable, "-c", script, settings.path], capture_output=True, text=True, check=False)
    assert 'confluent_kafka is missing): pip install "soma-fractal-memory[export]"' in done.stderr


ALTERED = {
    "UPDATE memories SET json = replace(json, 'about clocks', 'about locks')": "memories: .* is altered in text",
    "DELETE FROM memories WHERE id = (SELECT min(id) FROM memories)": "memories: .* is missing",
    "UPDATE links SET weight = 9 WHERE source = (SELECT min(source) FROM links)": "memory_links: .* is altered",
    "DELETE FROM links": "memory_links: .* is missing",
    "UPDATE namespaces SET json = replace(json, '-1', '-2')": "namespaces: lab is altered",
}


def test_parity_convicts_what_is_missing_or_altered(deployment: Deployment, settings: Settings) -> None:
    with soma.create_memory(settings=settings) as memory:
        live_a_little(memory)
    for number, (change, wanted) in enumerate(ALTERED.items()):
        copy = settings.path.parent / str(number)
        shutil.copytree(settings.path, copy)
        storage = SqliteStorage(copy)
        storage._connection.execute(change)
        found = parity(deployment, storage)
        storage.close()
        assert not found.is_equal
        assert any(re.fullmatch(wanted, str(difference)) for difference in found.differences), found.differences


def test_parity_convicts_what_only_the_store_has(deployment: Deployment, settings: Settings) -> None:
    with soma.create_memory(settings=settings) as memory:
        live_a_little(memory)
    with soma.open(settings.path, namespace="lab") as memory:  # not published, and then passed over
        stray = memory.remember("never told")
        memory.link(stray.id, next(iter(memory)).id, "stray")
        storage = memory._store.storage
        with storage.writing():
            storage.set_setting(CURSOR, str(storage.log.head()))
        found = parity(deployment, storage)
    assert [(difference.store, difference.kind) for difference in found.differences] == [
        ("memories", "extra"),
        ("memory_links", "extra"),
    ]


def test_the_command_compares_and_doctor_says_how_it_stands(
    deployment: Deployment, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SOMA_PATH", str(settings.path)), ("SOMA_NAMESPACE", "lab"), ("SOMA_DUAL_WRITE", "true")):
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(main, ["remember", "the clock is slow"]).exit_code == 0
    done = CliRunner().invoke(main, ["export", "parity", "--json"])
    assert json.loads(done.stdout) == {
        "is_equal": True,
        "messages": 1,
        "behind": 0,
        "memories": 1,
        "links": 0,
        "differences": [],
    }
    shown = CliRunner().invoke(main, ["doctor"]).stdout
    assert re.search(r"ok +published +all but 0 events", shown)
    assert re.search(r"ok +dual write +Kafka answers", shown)
    storage = open_storage(Settings(path=settings.path))
    storage._connection.execute("DELETE FROM memories")  # type: ignore[attr-defined]
    storage.close()
    done = CliRunner().invoke(main, ["export", "parity"])
    assert done.exit_code == 1
    assert "1 differences" in done.stdout

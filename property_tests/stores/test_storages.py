"""Every storage keeps one contract, and a wrong one is convicted by it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from redis import Redis

import soma
from property_tests.stores.conftest import RedisServer
from soma import fold, state_hash
from soma.embedding import HashingEmbedder
from soma.errors import ConfigurationError, StoreBusyError, StoreError
from soma.stores.redis_storage import RedisStorage
from soma.stores.sqlite import SqliteStorage
from soma.testing.storages import check_storage, created

NUMBERS = itertools.count()


def on_redis(client: Callable[[], Any]) -> tuple[Callable[[], RedisStorage], Callable[[bool], RedisStorage]]:
    def make() -> RedisStorage:
        return RedisStorage(client(), f"store-{next(NUMBERS)}")

    def again(is_read_only: bool) -> RedisStorage:
        last = max(int(name.split(b"-")[1].split(b":")[0]) for name in client().keys("store-*:meta"))
        return RedisStorage(client(), f"store-{last}", is_read_only=is_read_only)

    return make, again


def test_sqlite_in_a_file_keeps_the_contract(tmp_path: Path) -> None:
    folders: list[Path] = []

    def make() -> SqliteStorage:
        folders.append(tmp_path / str(len(folders)))
        return SqliteStorage(folders[-1])

    check_storage(make, lambda is_read_only: SqliteStorage(folders[-1], is_read_only=is_read_only))


def test_sqlite_in_memory_keeps_the_contract() -> None:
    check_storage(lambda: SqliteStorage(None))


def test_fakeredis_keeps_the_contract() -> None:
    server = fakeredis.FakeServer()
    check_storage(*on_redis(lambda: fakeredis.FakeRedis(server=server)))


def test_a_real_redis_keeps_the_contract(redis_server: RedisServer) -> None:
    check_storage(*on_redis(lambda: Redis.from_url(redis_server.url)))


class Forgetful(SqliteStorage):
    """Keeps what a transaction that failed has done."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        yield


def test_a_storage_that_keeps_half_a_transaction_is_convicted() -> None:
    with pytest.raises(AssertionError):
        check_storage(lambda: Forgetful(None))


# Redis alone


@pytest.fixture
def storage(redis_server: RedisServer) -> RedisStorage:
    return RedisStorage.from_url(redis_server.url, f"own-{next(NUMBERS)}")


def test_a_writer_that_lost_its_lock_writes_nothing(storage: RedisStorage) -> None:
    slow = RedisStorage(storage.client, storage.name, lock_s=0.05)

    def stand_still() -> None:
        with slow.writing():
            slow.log.append(created(1))
            time.sleep(0.1)  # beyond the life of its lock
            with storage.writing():
                storage.log.append(created(2))

    with pytest.raises(StoreBusyError, match="taken by another writer while this one stood still"):
        stand_still()
    for one in (slow, storage):
        with one.reading():
            assert [event for _, event in one.log.read()] == [created(2)]
    with slow.writing():
        assert slow.log.append(created(1)) == 2


def test_a_writer_waits_its_turn_or_is_told(storage: RedisStorage) -> None:
    other = RedisStorage(storage.client, storage.name, busy_timeout_s=0.05)
    with storage.writing(), pytest.raises(StoreBusyError, match="another process is writing"), other.writing():
        pass
    with other.writing():
        other.log.append(created(1))


def test_a_server_that_is_away_is_one_sentence(storage: RedisStorage, redis_server: RedisServer) -> None:
    with storage.writing():
        storage.log.append(created(1))
    redis_server.kill()
    for block in (storage.reading, storage.writing):
        with pytest.raises(StoreError, match="does not answer: start it, correct SOMA_REDIS_URL"), block():
            pass
    redis_server.start()
    with storage.writing():
        storage.log.append(created(2))
    with storage.reading():  # what was acknowledged before the kill is there
        assert [event for _, event in storage.log.read()] == [created(1), created(2)]


def test_no_server_and_no_address_say_so_and_show_no_password() -> None:
    with pytest.raises(StoreError, match="does not answer") as caught:
        RedisStorage.from_url("redis://user:s3cret@127.0.0.1:1/0")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigurationError) as refused:
        RedisStorage.from_url("http://user:s3cret@127.0.0.1")
    assert "s3cret" not in str(refused.value)


def test_what_is_not_ours_is_refused(storage: RedisStorage) -> None:
    storage.client.set("foreign:meta", "x")
    storage.client.rpush("other:log", "x")
    for name in ("foreign", "other"):
        with pytest.raises(StoreError, match="not a soma store"):
            RedisStorage(storage.client, name)
    with pytest.raises(StoreError, match="there is no soma store"):
        RedisStorage(storage.client, "nobody", is_read_only=True)


def test_it_says_whether_the_server_keeps_what_it_acknowledges(storage: RedisStorage) -> None:
    assert storage.is_durable()
    storage.client.config_set("appendonly", "no")
    assert not storage.is_durable()
    storage.client.config_set("appendonly", "yes")


def test_no_key_expires_by_itself_and_what_has_expired_is_swept_by_an_event(redis_server: RedisServer) -> None:
    now_s, name = 1_000.0, f"own-{next(NUMBERS)}"
    settings = soma.Settings(redis_url=redis_server.url, redis_name=name, namespace="lab")
    client = Redis.from_url(redis_server.url)
    with soma.create_memory(settings=settings) as memory:
        memory._store.clock = lambda: now_s
        short = memory.remember("the clock is slow", expires_at=now_s + 10)
        memory.remember("the clock stays")
        assert {client.ttl(key) for key in client.keys(f"{name}:*")} == {-1}
        now_s += 10
        assert [hit.record.text for hit in memory.recall("clock")] == ["the clock stays"]
        assert memory.retrieve(short.id).record == short  # until it is swept, and nobody has done that
        assert client.hexists(f"{name}:memories", f"lab:{short.id}")
        assert memory.sweep()["expired"] == [short.id]
        assert [event.type for event in memory.events()][-1] == "memory.deleted"
        assert [change.record for change in memory.versions(short.id)] == [short, None]
        with memory._store.storage.writing():  # the lock alone has a time to live, and a fence for when it is over
            alive = {key: client.ttl(key) for key in client.keys(f"{name}:*")}
            assert [key for key, seconds in alive.items() if seconds != -1] == [f"{name}:lock".encode()]
    client.close()


def test_another_model_is_an_error_and_reembed_makes_its_vectors_in_redis_too(redis_server: RedisServer) -> None:
    settings = soma.Settings(redis_url=redis_server.url, redis_name=f"own-{next(NUMBERS)}")
    other = HashingEmbedder(dimension=64)
    with soma.create_memory(settings=settings) as memory:
        memory.remember("the clock is slow")
    with pytest.raises(ConfigurationError, match="soma reembed"):
        soma.create_memory(settings=replace(settings, embedder="static"))
    done = soma.reembed(settings, other)
    assert (done.before, done.after, done.n_made) == ("hashing-v1-d256", other.revision, 1)
    with pytest.raises(ConfigurationError, match="d64, which is not at hand"):
        soma.create_memory(settings=settings)
    assert soma.reembed(settings, "hashing").n_made == 1
    with soma.create_memory(settings=settings) as memory:
        assert memory.recall("clock")[0].record.text == "the clock is slow"


WRITER = """
import sys
from soma.settings import Settings
from soma.factory import create_memory
with create_memory(settings=Settings(redis_url=sys.argv[1], redis_name=sys.argv[2], namespace="lab")) as memory:
    for n in range(int(sys.argv[3])):
        print(memory.remember(f"note {n} of {sys.argv[4]} about clocks").id, flush=True)
"""


def test_two_processes_write_one_is_killed_and_nothing_acknowledged_is_lost(redis_server: RedisServer) -> None:
    name = f"two-{next(NUMBERS)}"
    command = [sys.executable, "-c", WRITER, redis_server.url, name]
    one, two = (
        subprocess.Popen([*command, count, who], stdout=subprocess.PIPE, text=True)
        for count, who in (("60", "one"), ("1000", "two"))
    )
    with one, two:
        assert one.stdout is not None
        assert two.stdout is not None
        acknowledged = {two.stdout.readline().strip() for _ in range(30)}
        two.kill()
        acknowledged |= set(one.stdout.read().split()) | set(two.stdout.read().split())
    assert one.returncode == 0
    settings = soma.Settings(redis_url=redis_server.url, redis_name=name, namespace="lab")
    with soma.create_memory(settings=settings) as memory:
        held = {str(record.id) for record in memory}
        assert acknowledged <= held
        assert len(held - acknowledged) <= 1  # the one that was written when the writer was killed
        state = fold(memory.events())
        assert [memory.retrieve(record.id) for record in memory] == state.live("lab")
        assert state_hash(state) == state_hash(memory.as_of(memory.head()))
        client = Redis.from_url(redis_server.url)
        assert client.hlen(f"{name}:memories") == len(held)
        assert client.llen(f"{name}:log") == memory.head().value

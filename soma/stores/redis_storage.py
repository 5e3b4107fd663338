"""A store in Redis: log, records and vectors; every process reads from a replica of its own."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from soma.errors import ConfigurationError, StoreBusyError, StoreError
from soma.settings import masked
from soma.stores.redis_journal import Journal, RecordedEventLog, RecordedKeyValueStore, redo
from soma.stores.redis_lock import RedisLock
from soma.stores.redis_vectors import RedisVectorCache
from soma.stores.sqlite import SqliteStorage

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

__all__ = ["RedisStorage"]

APPLICATION: Final = "soma-2"
PAGE: Final = 500
START: Final = b"0-0"


class RedisStorage:
    """Event log, records, vectors and settings in one Redis: one writer at a time, any number of readers.

    What lasts is in Redis: a list of events, a hash of the JSON of memories, of links, of registrations, and a stream
    with what each transaction has done. A process reads from a replica in its own memory (the tables of
    `soma.stores.sqlite.SqliteStorage`), which it brings up to date with one command before every block of reading: so
    a block is a snapshot and waits for nobody. A writer holds the lock, works on its replica, and publishes with one
    MULTI/EXEC, which fails if anybody has taken the lock since: then nothing is written, and the replica goes back.

    No key of a memory has a time to live of Redis's: a memory that vanished behind the log's back would be lost
    without a trace. Memories expire by `expires_at`, and are swept away by events.

    Parameters
    ----------
    client : redis.Redis
        The server, answering in bytes. What is acknowledged lasts as long as the server says: for the same promise as
        the SQLite store's run it with ``appendonly yes`` and ``appendfsync always``.
    name : str
        The first part of every key.
    is_read_only : bool
        Refuse every write; the store must exist.
    busy_timeout_s : float
        How long a writer waits for another one, seconds.
    lock_s : float
        After which time a writer that stands still loses its lock, seconds.

    Raises
    ------
    StoreError
        If the server does not answer, or holds something else under the name; for a store that is to be read and is
        not there.

    Notes
    -----
    Laws: ``property_tests/stores/test_storages.py``, ``test_oracle.py``.
    """

    def __init__(
        self,
        client: Redis,
        name: str = "soma",
        *,
        is_read_only: bool = False,
        busy_timeout_s: float = 10.0,
        lock_s: float = 30.0,
    ) -> None:
        self.client = client
        self.name = name
        self.is_read_only = is_read_only
        self.busy_timeout_s = busy_timeout_s
        self.lock = RedisLock(client, f"{name}:lock", lasts_s=lock_s)
        self._threads = threading.RLock()
        self._depth = 0
        self._last = START
        with self._translated():
            self.identity = self._prepare()
        self.replica = SqliteStorage(None)
        self._journal = Journal()
        self.log = RecordedEventLog(self.replica, self._journal)
        self.records = RecordedKeyValueStore(self.replica, self._journal)
        self.vectors = RedisVectorCache(client, name, self.replica.is_used, self._translated)

    @classmethod
    def from_url(cls, url: str, name: str = "soma", *, is_read_only: bool = False) -> Self:
        """Return the store at an address such as ``redis://localhost:6379/0``.

        Parameters
        ----------
        url : str
            With user and password, if the server asks for them; they are never shown.
        name, is_read_only
            As of the class.

        Raises
        ------
        ConfigurationError
            If the extra ``redis`` is not installed, or the address is none.
        StoreError
            As of the class.
        """
        try:
            from redis import Redis  # noqa: PLC0415 - the driver is loaded when it is needed
        except ModuleNotFoundError:
            raise ConfigurationError(
                "a store in Redis needs the package redis", 'pip install "soma-fractal-memory[redis]"'
            ) from None
        try:
            client = Redis.from_url(url, socket_connect_timeout=5, socket_timeout=30)
        except ValueError as error:
            raise ConfigurationError(
                f"{masked(url)} is no address of a Redis ({error})", "redis://HOST:PORT/0"
            ) from None
        return cls(client, name, is_read_only=is_read_only)

    def __repr__(self) -> str:
        return f"RedisStorage({self._where()})"

    def is_durable(self) -> bool:
        """Whether the server writes what it acknowledges to a file of its own (``appendonly``)."""
        with self._translated():
            return bool(self.client.info("persistence").get("aof_enabled", 0))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run a block as the one writer; everything in it lasts when the block ends, or nothing does."""
        with self._threads:
            if self._depth:
                yield
                return
            if self.is_read_only:
                raise StoreError(f"{self._where()} was opened for reading: open it for writing")
            with self._translated():
                self.lock.acquire(self.busy_timeout_s)
            try:
                with self._translated():
                    self._catch_up()
                    revisions = self.vectors.revisions()
                self._depth += 1
                with self.replica.writing():
                    yield
                    with self._translated():
                        self._publish(revisions)
            finally:
                self._depth = 0
                self._journal.clear()
                self.vectors.forget()
                with self._translated():
                    self.lock.release()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Run a block on one snapshot; never waits for a writer."""
        with self._threads:
            if not self._depth:
                with self._translated():
                    self._catch_up()
            self._depth += 1
            try:
                with self.replica.reading():
                    yield
            finally:
                self._depth -= 1

    def setting(self, name: str) -> str | None:
        """Return a setting kept with the store, or None."""
        with self.reading():
            return self.replica.setting(f"redis:{name}")

    def set_setting(self, name: str, value: str) -> None:
        """Keep a setting."""
        self.replica.set_setting(f"redis:{name}", value)
        self._journal.append(["setting", f"redis:{name}", value])

    def close(self) -> None:
        """Release the connections and the replica; closing twice is allowed."""
        self.replica.close()
        self.client.close()

    def _prepare(self) -> str:
        """Return the identity of the store; make it where there is none."""
        meta: Any = self.client.type(f"{self.name}:meta")
        if meta not in (b"none", b"hash"):
            raise StoreError(f"{self._where()} holds something that is not a soma store: choose another name")
        if meta == b"none":
            if self.client.exists(*(f"{self.name}:{part}" for part in ("log", "journal", "memories", "links"))):
                raise StoreError(f"{self._where()} holds something that is not a soma store: choose another name")
            if self.is_read_only:
                raise StoreError(f"there is no soma store in {self._where()}: name another, or remember something")
            made = {"application": APPLICATION, "identity": secrets.token_hex(16)}
            for field, value in made.items():  # whoever comes first decides
                self.client.hsetnx(f"{self.name}:meta", field, value)
        known: Any = self.client.hgetall(f"{self.name}:meta")
        if known.get(b"application") != APPLICATION.encode():
            raise StoreError(f"{self._where()} holds something that is not a soma store: choose another name")
        return str(known[b"identity"].decode())

    def _catch_up(self) -> None:
        """Bring the replica to the end of the journal: each page is one command, and so a whole number of steps."""
        while True:
            page: Any = self.client.xrange(self._stream, min=b"(" + self._last, count=PAGE)
            if not page:
                return
            with self.replica.writing():
                for _, entry in page:
                    redo(self.replica, json.loads(entry[b"steps"]))
            self._last = page[-1][0]

    def _publish(self, revisions: list[str]) -> None:
        """Write what the block has done with one MULTI/EXEC, unless the lock was lost."""
        from redis import WatchError  # noqa: PLC0415 - the driver is there: a client was given
        from redis.exceptions import ConnectionError as LostError  # noqa: PLC0415
        from redis.exceptions import TimeoutError as LateError  # noqa: PLC0415

        mark = secrets.token_hex(16).encode()
        lost = f"{self._where()} was taken by another writer while this one stood still; nothing was written: try again"
        with self.client.pipeline() as pipe:
            if not self.lock.still_held(pipe):
                raise StoreBusyError(lost, 0.0)
            pipe.multi()
            self._tell(pipe)
            self.vectors.write(pipe, revisions)
            if self._journal:
                pipe.xadd(self._stream, {b"steps": self._journal.to_json(), b"mark": mark})
            try:
                answers = pipe.execute()
            except WatchError:
                raise StoreBusyError(lost, 0.0) from None
            except (LostError, LateError) as error:
                if not self._is_written(mark):
                    raise StoreError(f"{self._where()} broke off, and nothing was written: try again") from error
                return  # the replica is read again from the journal: what it holds now is the same
        if self._journal:
            self._last = answers[-1]

    def _is_written(self, mark: bytes) -> bool:
        """Whether a transaction whose answer was lost has taken place; it would be after the last that was seen."""
        page: Any = self.client.xrange(self._stream, min=b"(" + self._last)
        for place, entry in page:
            if entry.get(b"mark") == mark:
                self._last = place
                return True
        return False

    def _tell(self, pipe: Pipeline) -> None:
        """Keep the events and the JSON of what changed where others can read it, beside the journal."""
        for kind, *said in self._journal:
            if kind == "append":
                pipe.rpush(f"{self.name}:log", said[1])
            elif kind == "put":
                pipe.hset(f"{self.name}:memories", f"{said[0]}:{said[1]}", said[3])
            elif kind == "register":
                pipe.hset(f"{self.name}:namespaces", said[0]["namespace"], json.dumps(said[0], ensure_ascii=False))
            elif kind == "setting":
                pipe.hset(f"{self.name}:settings", said[0].removeprefix("redis:"), said[1])
            else:
                source, target, link_type, weight, at_s = said[1]
                key = f"{said[0]}:{source}:{target}:{link_type}"
                if kind == "drop_link":
                    pipe.hdel(f"{self.name}:links", key)
                else:
                    pipe.hset(f"{self.name}:links", key, json.dumps({"weight": weight, "at": at_s}))

    @property
    def _stream(self) -> str:
        return f"{self.name}:journal"

    def _where(self) -> str:
        found = self.client.connection_pool.connection_kwargs
        host = found.get("path") or f"{found.get('host', 'this process')}:{found.get('port', '')}".rstrip(":")
        return f"Redis at {host}, name {self.name}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from redis.exceptions import ConnectionError as LostError  # noqa: PLC0415 - a client was given
        from redis.exceptions import RedisError  # noqa: PLC0415
        from redis.exceptions import TimeoutError as LateError  # noqa: PLC0415

        try:
            yield
        except (LostError, LateError) as error:
            raise StoreError(
                f"{self._where()} does not answer: start it, correct SOMA_REDIS_URL, or unset it to use a file"
            ) from error
        except RedisError as error:
            raise StoreError(f"{self._where()} failed: {error}") from error

"""One SQLite file: the connection, its tables, and the transaction that log, records and vectors share."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from soma.errors import StoreBusyError, StoreError
from soma.stores.keyvalue_sqlite import SqliteKeyValueStore
from soma.stores.log_sqlite import SqliteEventLog
from soma.stores.vectors_sqlite import SqliteVectorCache

__all__ = ["ENGINE", "SqliteStorage"]

ENGINE: Final = f"SQLite {sqlite3.sqlite_version}"
"""The database engine at work."""

APPLICATION_ID: Final = 0x50_4D_A0_02
SCHEMA_VERSION: Final = 1
FILE_NAME: Final = "soma.sqlite3"

SCHEMA: Final = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    namespace TEXT NOT NULL,
    record_id BLOB,
    at_s REAL NOT NULL,
    json TEXT NOT NULL
);
CREATE TABLE namespaces (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE memories (
    namespace TEXT NOT NULL,
    id BLOB NOT NULL,
    position INTEGER NOT NULL,
    json TEXT NOT NULL,
    is_live INTEGER NOT NULL,
    timestamp_s REAL,
    last_used_s REAL,
    importance INTEGER,
    memory_type TEXT,
    expires_at_s REAL,
    tags TEXT,
    vector_key BLOB,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX memories_by_vector ON memories (vector_key);
CREATE TABLE links (
    namespace TEXT NOT NULL,
    source BLOB NOT NULL,
    target BLOB NOT NULL,
    type TEXT NOT NULL,
    weight REAL NOT NULL,
    at_s REAL NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (namespace, source, target, type)
) WITHOUT ROWID;
CREATE TABLE vectors (
    revision TEXT NOT NULL,
    key BLOB NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (revision, key)
);
"""


class SqliteStorage:
    """Event log, records and vector cache in one SQLite file: one writer, any number of readers.

    The journal is a write-ahead log, so readers never wait for the writer; a transaction is on the disk
    (``synchronous=FULL``) before it is acknowledged.

    Parameters
    ----------
    directory : Path or None
        The folder that holds the file; None keeps everything in memory.
    is_read_only : bool
        Refuse every write; the store must exist.
    busy_timeout_s : float
        How long a writer waits for another one, seconds.

    Raises
    ------
    StoreError
        If the path cannot hold a store, or holds something else.
    StoreBusyError
        If another process keeps the store locked.
    """

    def __init__(self, directory: Path | None, *, is_read_only: bool = False, busy_timeout_s: float = 10.0) -> None:
        self.directory = directory
        self.is_read_only = is_read_only
        self.busy_timeout_s = busy_timeout_s
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = self._connect(directory, is_read_only)
        self._release = weakref.finalize(self, self._connection.close)  # a store that nobody holds any more is closed
        try:
            with self._translated():
                self._prepare(is_read_only)
        except BaseException:
            self._release()
            raise
        self.log = SqliteEventLog(self._connection)
        self.records = SqliteKeyValueStore(self._connection)
        self.vectors = SqliteVectorCache(self._connection)

    @property
    def identity(self) -> str:
        """A name for this log alone, given when the store was made."""
        return self.setting("identity") or ""

    def _connect(self, directory: Path | None, is_read_only: bool) -> sqlite3.Connection:
        target = ":memory:"
        if directory is None and is_read_only:
            raise StoreError("a store in the process's own memory begins empty: open it for writing")
        if directory is not None:
            file = directory / FILE_NAME
            if is_read_only and not file.is_file():
                raise StoreError(f"there is no soma store in {directory}: name another folder, or remember something")
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"{directory} cannot hold a store ({error.strerror}): choose a folder that you can write to"
                ) from error
            target = str(file)
        try:
            return sqlite3.connect(target, timeout=self.busy_timeout_s, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise StoreError(f"the store in {directory} cannot be opened: {error}") from error

    def _prepare(self, is_read_only: bool) -> None:
        run = self._connection.execute
        if is_read_only:
            run("PRAGMA query_only = ON")
        elif self.directory is not None:
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = FULL")
        if not is_read_only and self._pragma("user_version") == 0:
            run("BEGIN IMMEDIATE")
            if self._pragma("user_version") == 0:  # nobody else made it meanwhile
                self._refuse_foreign()
                for statement in SCHEMA.split(";"):
                    run(statement)
                run("INSERT INTO settings VALUES ('identity', lower(hex(randomblob(16))))")
                run(f"PRAGMA application_id = {APPLICATION_ID}")
                run(f"PRAGMA user_version = {SCHEMA_VERSION}")
            run("COMMIT")
        if self._pragma("application_id") != APPLICATION_ID:
            raise StoreError(f"{self.directory} holds a database that is not a soma store: choose another folder")
        if self._pragma("user_version") != SCHEMA_VERSION:
            raise StoreError(
                f"the store in {self.directory} has schema {self._pragma('user_version')}, and this version of soma "
                f"reads schema {SCHEMA_VERSION}: open it with the version that wrote it"
            )

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _refuse_foreign(self) -> None:
        if self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._connection.execute("ROLLBACK")
            raise StoreError(f"{self.directory} holds a database that is not a soma store: choose another folder")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run a block as the one writer; everything in it lasts when the block ends, or nothing does."""
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Run a block on one snapshot; never waits for a writer."""
        with self._transaction("BEGIN"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._lock, self._translated():
            if self._depth:
                yield
                return
            self._connection.execute(begin)
            self._depth += 1
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreBusyError(
                    f"another process is writing to {self.directory}: try again in a moment",
                    self.busy_timeout_s,
                ) from error
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY:
                where = self.directory or "what is in memory"
                raise StoreError(f"{where} was opened for reading: open it for writing") from error
            raise StoreError(f"the store in {self.directory} failed: {error}") from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                raise StoreError(f"{self.directory} holds a file that is not a soma store: choose another") from error
            raise StoreError(f"the store in {self.directory} failed: {error}") from error

    def freeze(self) -> None:
        """Refuse every write from now on."""
        self._connection.execute("PRAGMA query_only = ON")
        self.is_read_only = True

    def setting(self, name: str) -> str | None:
        """Return a setting kept with the store, or None."""
        row: Any = self._connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        """Keep a setting."""
        self._connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def is_used(self, vector_key: bytes) -> bool:
        """Whether a live memory refers to a vector."""
        row = self._connection.execute(
            "SELECT 1 FROM memories WHERE vector_key = ? AND is_live LIMIT 1", (vector_key,)
        ).fetchone()
        return row is not None

    def close(self) -> None:
        """Release the file; closing twice is allowed."""
        with self._lock:
            self._release()

"""Postgres: connections to one schema, and the numbered migrations that make it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.types.json import set_json_loads

from soma.errors import ConfigurationError, StoreBusyError, StoreError
from soma_export.settings import ExportSettings

__all__ = ["Migration", "connect", "migrate", "migrations", "require_migrated", "translated"]

LOCK: Final = 0x50_4D_A0_02
"""The advisory lock of whoever migrates."""

RETRY_AFTER_S: Final = 5.0
LARGEST_EXACT: Final = 2**53 - 1

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(settings: ExportSettings, *, schema: str | None = None) -> Connection:
    """Return a connection that works in the schema; each ``transaction()`` is a transaction.

    Parameters
    ----------
    settings : ExportSettings
        Where Postgres is.
    schema : str, optional
        Another schema than that of the settings.

    Raises
    ------
    StoreBusyError
        If Postgres does not answer.
    """
    with translated():
        connection = psycopg.connect(
            settings.postgres,
            autocommit=True,
            connect_timeout=10,
            options=f"-c search_path={schema or settings.schema} -c TimeZone=UTC",
            application_name="soma",
        )
        set_json_loads(_loads, connection)
        return connection


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema.

    Parameters
    ----------
    number : int
        Its place, from 1 without a gap.
    name : str
        What it is for.
    statements : str
        SQL.
    """

    number: int
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements, in hexadecimal."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return the migrations of this version, in their order."""
    found = sorted(
        (file.name, file.read_text("utf-8"))
        for file in files("soma_export").joinpath("sql").iterdir()
        if file.name.endswith(".sql")
    )
    return [Migration(int(name[:4]), name[5:-4], statements) for name, statements in found]


def migrate(settings: ExportSettings, *, schema: str | None = None) -> list[str]:
    """Bring the schema to this version, and return the names of the migrations applied; one process at a time.

    Parameters
    ----------
    settings : ExportSettings
        Where Postgres is.
    schema : str, optional
        Another schema than that of the settings.

    Raises
    ------
    ConfigurationError
        If the schema was made by a newer version, or a migration was changed after it was applied.
    StoreBusyError
        If Postgres does not answer.
    """
    name = sql.Identifier(schema or settings.schema)
    applied = []
    with connect(settings, schema=schema) as connection, translated(), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (number integer PRIMARY KEY, name text NOT NULL, "
            "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = _applied(connection)
        for migration in _pending(done):
            connection.execute(migration.statements.encode())
            connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum) VALUES (%s, %s, %s)",
                [migration.number, migration.name, migration.checksum],
            )
            applied.append(f"{migration.number:04}_{migration.name}")
    return applied


def require_migrated(connection: Connection, schema: str) -> None:
    """Raise unless the schema is that of this version.

    Parameters
    ----------
    connection : psycopg.Connection
        To the schema.
    schema : str
        Its name, for the error.

    Raises
    ------
    ConfigurationError
        If migrations are missing, were changed, or come from a newer version.
    """
    with translated():
        there = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
        done = _applied(connection) if there and there[0] else {}
    missing = _pending(done)
    if missing:
        raise ConfigurationError(
            f"the schema {schema} lacks the migration {missing[0].number:04}_{missing[0].name}",
            "run `soma export migrate`",
        )


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into soma's: one that may pass is a `StoreBusyError`.

    Raises
    ------
    StoreBusyError
        For a server that does not answer, or an interrupted transaction.
    StoreError
        For anything else that the database refuses.
    """
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StoreBusyError(
            f"Postgres does not answer ({_first_line(error)}): start it, or wait", RETRY_AFTER_S
        ) from error
    except psycopg.Error as error:
        raise StoreError(f"Postgres refused: {_first_line(error)}") from error


def _applied(connection: Connection) -> dict[int, tuple[str, str]]:
    rows = connection.execute("SELECT number, name, checksum FROM schema_migrations").fetchall()
    return {number: (name, checksum) for number, name, checksum in rows}


def _pending(done: dict[int, tuple[str, str]]) -> list[Migration]:
    """Return what is still to be applied; raise where the past of the schema is not this version's."""
    known = {migration.number: migration for migration in migrations()}
    newer = sorted(set(done) - set(known))
    if newer:
        raise ConfigurationError(
            f"the schema has the migration {newer[0]:04}_{done[newer[0]][0]}, which this version does not know",
            "use the version of soma that applied it",
        )
    for number, (name, checksum) in done.items():
        if checksum != known[number].checksum:
            raise ConfigurationError(
                f"the migration {number:04}_{name} was changed after it was applied",
                "restore the file, and write a new migration for the change",
            )
    return [known[number] for number in sorted(set(known) - set(done))]


def _first_line(error: psycopg.Error) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _int(literal: str) -> int | float:
    value = int(literal)
    return value if abs(value) <= LARGEST_EXACT else float(literal)  # jsonb prints a large double without exponent


_DECODER = json.JSONDecoder(parse_int=_int)


def _loads(data: str | bytes) -> Any:
    return _DECODER.decode(data if isinstance(data, str) else data.decode("utf-8"))

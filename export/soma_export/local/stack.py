"""The local stack: the servers that production needs, started in one folder and remembered there.

For each server, in this order: an address in the environment, which is used as it is; a program on this machine; a
wheel of the extra ``local-stack``. ``state.json`` in the folder says what was started, so that the next call finds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from soma import canonical_json
from soma.errors import ConfigurationError, SomaError, StoreBusyError, StoreError
from soma_export.local.kafka import LocalKafka
from soma_export.local.postgres import LocalPostgres
from soma_export.local.process import Process
from soma_export.local.server import LocalServer

__all__ = ["DEFAULT_DIRECTORY", "Server", "Stack", "down", "up"]

DEFAULT_DIRECTORY: Final = Path("~/.local/share/soma/stack")
Kind: TypeAlias = type[LocalKafka] | type[LocalPostgres]
KINDS: Final[tuple[Kind, ...]] = (LocalKafka, LocalPostgres)
OTHER_FOLDER: Final = "choose another one with --dir"
STATE: Final = "state.json"
NEW_STATE: Final = f"{STATE}.new"
LOCK: Final = "lock"
FORMAT: Final = 1
LOCK_S: Final = 180.0
PROBE_S: Final = 10.0
POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Server:
    """One server that answers.

    Parameters
    ----------
    name : str
        ``"kafka"`` or ``"postgres"``.
    variable : str
        The variable of the environment that names it.
    address : str
        What a client connects to.
    found : str
        What it is, and how it was found.
    pid : int, optional
        Its process, if it is one of this stack.
    """

    name: str
    variable: str
    address: str
    found: str
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """What `up` reached.

    Parameters
    ----------
    servers : dict of str to Server
        The servers that answer, by name.
    missing : dict of str to str
        For each other, by name: why it does not run, and how to get it.
    """

    servers: dict[str, Server] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """What ``state.json`` keeps about one server of the stack."""

    port: int
    pid: int
    started: str
    address: str
    found: str


def up(directory: Path) -> Stack:
    """Start every server that can be found and does not run yet; return when they answer.

    Parameters
    ----------
    directory : Path
        The folder of the stack: new, empty, or of an earlier call, whose servers come back on their ports and data.

    Returns
    -------
    Stack

    Raises
    ------
    ConfigurationError
        The folder holds something else, or an address in the environment does not answer.
    StoreError
        A server ended or did not answer in time.
    """
    directory = directory.expanduser().absolute()
    with _locked(directory):
        state = _read(directory)
        _write(directory, state)  # from now on the folder is a stack's
        stack, servers = Stack(), list[LocalServer]()
        for kind in KINDS:
            known, address = state.get(kind.name), os.environ.get(kind.variable)
            if address and not (known and known.address == address):
                stack.servers[kind.name] = _outside(kind, address)
                continue
            server: LocalServer
            try:
                server = _known(kind, directory, known)
                if not server.is_running:
                    server = kind.find(directory / kind.name, port=server.port)
                    server.launch()
            except ConfigurationError as error:
                stack.missing[kind.name] = str(error)
                continue
            if server.found and server.process is not None:
                process = server.process
                state[kind.name] = Started(server.port, process.pid, process.started, server.address, server.found)
                _write(directory, state)  # before it answers: what is broken off here is found by the next call
            servers.append(server)
        for server in servers:
            server.resume()
            server.wait_ready()
            started = state[server.name]
            stack.servers[server.name] = Server(
                server.name, server.variable, started.address, started.found, started.pid
            )
        return stack


def down(directory: Path, *, is_purged: bool = False) -> list[str]:
    """Stop the servers that `up` started in a folder; what the environment names is left alone.

    Parameters
    ----------
    directory : Path
        The folder of the stack.
    is_purged : bool
        Whether the data and logs are deleted too.

    Returns
    -------
    list of str
        The names of the servers that ran.

    Raises
    ------
    ConfigurationError
        The folder holds something else.
    """
    directory = directory.expanduser().absolute()
    if not directory.exists():
        return []
    with _locked(directory):
        state, stopped = _read(directory), list[str]()
        for kind in KINDS:
            server = _known(kind, directory, state.get(kind.name))
            if server.is_running:
                server.stop()
                stopped.append(kind.name)
            if is_purged:
                server.remove()
        if is_purged:
            for name in (STATE, LOCK):
                (directory / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # someone put something else there
                directory.rmdir()
        return stopped


def _outside(kind: Kind, address: str) -> Server:
    """Return the server that the environment names, if it answers."""
    try:
        kind.probe(address, timeout_s=PROBE_S)
    except StoreError as error:
        raise ConfigurationError(f"{kind.variable} is set, and {error}", "start that server, or unset it") from error
    return Server(kind.name, kind.variable, address, f"the address in {kind.variable}")


def _known(kind: Kind, directory: Path, started: Started | None) -> LocalServer:
    """Return a server as it was left, or one that was never started."""
    if started is None:
        return kind(directory / kind.name)
    return kind(directory / kind.name, port=started.port, process=Process(started.pid, started.started))


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the folder of a stack, so that two calls do not start two of each; refuse a folder of something else."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        others = {path.name for path in directory.iterdir()} - {LOCK}
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be the folder of a local stack ({error})", OTHER_FOLDER
        ) from error
    if others and STATE not in others:
        raise ConfigurationError(f"{directory} holds something else than a local stack", OTHER_FOLDER)
    deadline = time.monotonic() + LOCK_S
    while True:
        with (directory / LOCK).open("ab") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    raise StoreBusyError(f"another soma export up or down works in {directory}", LOCK_S) from None
            else:
                if _is_at(directory / LOCK, held.fileno()):  # else a purge deleted it before it was ours
                    yield
                    return
        time.sleep(POLL_S)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(directory: Path) -> dict[str, Started]:
    path = directory / STATE
    try:
        content: Any = canonical_json.loads(path.read_bytes()) if path.exists() else {"format": FORMAT, "servers": {}}
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}")
        return {name: Started(**started) for name, started in content["servers"].items()}
    except (OSError, SomaError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not the state of a local stack ({error})", OTHER_FOLDER) from error


def _write(directory: Path, state: dict[str, Started]) -> None:
    content = {"format": FORMAT, "servers": {name: asdict(started) for name, started in state.items()}}
    new = directory / NEW_STATE
    new.write_text(json.dumps(content, indent=2), "utf-8")
    new.replace(directory / STATE)

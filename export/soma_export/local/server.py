"""What the local servers have in common: a folder, a port, a process, and how it is started and ended."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import socket
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Final, final

from soma.errors import ConfigurationError, StoreError
from soma_export.local.process import Process

__all__ = ["HOST", "LocalServer", "free_port"]

HOST: Final = "127.0.0.1"
PORTS: Final = range(20_000, 30_000)  # below those that systems give to outgoing connections
READY_S: Final = 90.0
STOP_S: Final = 30.0
POLL_S: Final = 0.05


class LocalServer(ABC):
    """One server of the local stack, in its own folder, on its own port of this machine.

    Parameters
    ----------
    directory : Path
        Holds ``data`` and ``log``; made when the server is first started.
    port : int, optional
        Where it listens; by default a free one.
    process : Process, optional
        The process that runs it already.
    """

    name: ClassVar[str]
    variable: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, directory: Path, *, port: int | None = None, process: Process | None = None) -> None:
        self.directory = directory.absolute()
        self.port = port or free_port()
        self.process = process

    @property
    @abstractmethod
    def found(self) -> str:
        """What is run, and where it was found."""

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client connects to."""

    @staticmethod
    @abstractmethod
    def probe(address: str, *, timeout_s: float) -> None:
        """Return when the server at an address answers, else raise a `StoreError` that says why."""

    @abstractmethod
    def _spawn(self) -> Process:
        """Make the data folder if it is new, and start the process."""

    @property
    @final
    def log(self) -> Path:
        """The file with all that the server said."""
        return self.directory / "log"

    @property
    @final
    def is_running(self) -> bool:
        """Whether its process lives; a paused one does."""
        return self.process is not None and self.process.is_alive

    @final
    def start(self) -> None:
        """Start the server on its port and data, if it does not run, and return when it answers.

        Raises
        ------
        ConfigurationError
            The program cannot be run, or another one has the port.
        StoreError
            It ended, or did not answer in time, and is killed.
        """
        if self.is_running:
            return self.wait_ready()
        self.launch()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise

    @final
    def launch(self) -> None:
        """Start the process, if it does not run, and do not wait.

        Raises
        ------
        ConfigurationError
            The program cannot be run, or another one has the port.
        """
        if self.is_running:
            return
        if not _is_free(self.port):
            raise ConfigurationError(
                f"port {self.port} of the local {self.name} is taken by another program",
                "stop that program, or start anew with soma export down --purge",
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = self._spawn()

    @final
    def wait_ready(self, deadline_s: float = READY_S) -> None:
        """Return when the server answers.

        Parameters
        ----------
        deadline_s : float
            Seconds that it may take.

        Raises
        ------
        StoreError
            It ended, or did not answer in time.
        """
        deadline = time.monotonic() + deadline_s
        while True:
            if not self.is_running:
                raise StoreError(f"{self.name} ended while it started ({self._last_words()}): read {self.log}")
            reason = "nothing listens on its port"
            if _is_listening(self.port):
                try:
                    return self.probe(self.address, timeout_s=2.0)
                except StoreError as error:
                    reason = str(error)
            if time.monotonic() > deadline:
                raise StoreError(f"{self.name} did not answer in {deadline_s:g} s ({reason}): read {self.log}")
            time.sleep(POLL_S)

    @final
    def stop(self) -> None:
        """Ask the server to end, return when it has ended; kill it after 30 seconds. Its data stay."""
        if self.process is not None:
            self.process.stop(self.stop_signal, deadline_s=STOP_S)

    @final
    def kill(self) -> None:
        """Kill the server and all its processes (SIGKILL), as a crash would."""
        if self.process is not None:
            self.process.kill()

    @final
    def pause(self) -> None:
        """Stop the server where it is (SIGSTOP): its connections stay open and say nothing."""
        if self.process is not None:
            self.process.pause()

    @final
    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        if self.process is not None:
            self.process.resume()

    @final
    def remove(self) -> None:
        """Stop the server and delete its folder with all data."""
        self.stop()
        data = self.directory / "data"
        if data.is_symlink():  # the data of PostgreSQL, where its user cannot reach the folder
            shutil.rmtree(data.resolve().parent, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.directory)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = [line for line in self.log.read_text("utf-8", "replace").splitlines() if line.strip()]
            if lines:
                return lines[-1].strip()
        return "without a word"


def free_port() -> int:
    """Return a port of this machine on which nothing listens.

    Returns
    -------
    int
        From 20,000 to 29,999: a stopped server finds its port again, because no outgoing connection was given it.

    Raises
    ------
    ConfigurationError
        A thousand tries met none.
    """
    for _ in range(1_000):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        if _is_free(port):
            return port
    raise ConfigurationError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free", "stop what holds them")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
    return True


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True

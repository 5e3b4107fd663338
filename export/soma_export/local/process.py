"""Processes that outlive the command which started them, known by pid and start time.

A pid alone is not an identity: it is given again. A `Process` is the pid together with the time at which the system
started it, so that nothing is ever signalled that was not started here.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soma.errors import ConfigurationError, StoreError

__all__ = ["Process", "run", "unprivileged"]

PROC: Final = Path("/proc")
HAS_PROC: Final = (PROC / "self" / "stat").exists()  # on Linux; elsewhere ps tells
GONE: Final = frozenset("ZX")  # states of what has ended and was not yet collected by its parent
STOPPED: Final = frozenset("Tt")  # by a signal, by a debugger
POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """A running process that this package started.

    Parameters
    ----------
    pid : int
        Its process id.
    started : str
        When the system started it, in the words of the system.
    """

    pid: int
    started: str

    @classmethod
    def spawn(
        cls,
        command: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        account: pwd.struct_passwd | None = None,
    ) -> Process:
        """Start a command in a session of its own; what it prints is appended to a file.

        Parameters
        ----------
        command : sequence of str or Path
            The program and its arguments.
        log : Path
            Receives standard output and standard error.
        cwd : Path
            The folder to run in.
        environment : mapping of str to str, optional
            The whole environment; by default this process's.
        account : struct_passwd, optional
            Who runs it; by default whoever runs this process.

        Returns
        -------
        Process

        Raises
        ------
        ConfigurationError
            The program cannot be run.
        """
        with log.open("ab") as output:
            try:
                popen = subprocess.Popen(  # noqa: S603 - the command is made by this package
                    [str(part) for part in command],
                    cwd=cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    user=account and account.pw_uid,
                    group=account and account.pw_gid,
                    extra_groups=None if account is None else [],
                )
            except OSError as error:
                raise ConfigurationError(f"{command[0]} cannot be run", str(error)) from error
        found = _look(popen.pid)
        popen.returncode = 0  # the server outlives the object: `is_alive` collects it when it has ended
        return cls(popen.pid, found.started if found else "")

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs, stopped by SIGSTOP or not."""
        found = _look(self.pid)
        if found is None or found.started != self.started:
            return False
        if found.has_ended:
            with contextlib.suppress(ChildProcessError):  # of another parent, which collects it
                os.waitpid(self.pid, os.WNOHANG)
            return False
        return True

    def stop(self, with_signal: signal.Signals, *, deadline_s: float) -> None:
        """Ask the process to end, and kill it with all it started when it has not ended in time.

        Parameters
        ----------
        with_signal : Signals
            What asks it.
        deadline_s : float
            Seconds until it is killed.
        """
        self.resume()
        tree = self._tree()
        _send(self, with_signal)
        if not _have_ended(tree, deadline_s):
            self.kill()

    def kill(self) -> None:
        """Kill the process and all it started, at once; return when they are gone.

        Raises
        ------
        StoreError
            They did not end within ten seconds.
        """
        tree = self._freeze()
        for process in tree:
            _send(process, signal.SIGKILL)
        if not _have_ended(tree, 10.0):
            raise StoreError(f"process {self.pid} does not end though it was killed: look at it with ps")

    def pause(self) -> None:
        """Stop the process and all it started where they are (SIGSTOP); return when they stand still.

        Raises
        ------
        StoreError
            They did not stand still within ten seconds.
        """
        tree = self._freeze()
        if not _within(10.0, lambda: not any(map(_moves, tree))):
            raise StoreError(f"process {self.pid} does not stand still though it was stopped: look at it with ps")

    def resume(self) -> None:
        """Let go on what `pause` stopped (SIGCONT)."""
        for process in self._tree():
            _send(process, signal.SIGCONT)

    def _tree(self) -> list[Process]:
        """Return this process and its descendants; PostgreSQL's are each in a session of their own."""
        if not self.is_alive:
            return []
        table = _table()
        tree = [self]
        for process in tree:  # grows while it is walked
            tree += [Process(pid, row.started) for pid, row in table.items() if row.parent == process.pid]
        return tree

    def _freeze(self) -> list[Process]:
        """Stop the tree from the root on, until no member is new, and return it."""
        frozen: list[Process] = []
        while new := [process for process in self._tree() if process not in frozen]:
            for process in new:
                _send(process, signal.SIGSTOP)
            frozen += new
        return frozen


@dataclass(frozen=True, slots=True)
class Row:
    """What the system says about one process."""

    parent: int
    started: str
    has_ended: bool
    is_stopped: bool


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    account: pwd.struct_passwd | None = None,
    deadline_s: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return its status with all that it said in ``stdout``.

    Parameters
    ----------
    command : sequence of str or Path
        The program and its arguments.
    cwd : Path
        The folder to run in.
    environment : mapping of str to str, optional
        The whole environment; by default this process's.
    account : struct_passwd, optional
        Who runs it; by default whoever runs this process.
    deadline_s : float
        Seconds until it is killed.

    Returns
    -------
    CompletedProcess

    Raises
    ------
    ConfigurationError
        The program cannot be run, or takes longer.
    """
    try:
        return subprocess.run(  # noqa: S603 - the command is made by this package
            [str(part) for part in command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=deadline_s,
            check=False,
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=None if account is None else [],
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{command[0]} cannot be run", str(error)) from error


def unprivileged() -> pwd.struct_passwd | None:
    """Return whom a server runs as that refuses root: None (this user) unless this is root.

    Returns
    -------
    struct_passwd or None
        The account ``postgres`` if there is one, else ``nobody``.

    Raises
    ------
    ConfigurationError
        This is root, and there is neither.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ConfigurationError("PostgreSQL does not run as root", "make a user named postgres")


def _send(process: Process, number: signal.Signals) -> None:
    if process.is_alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _moves(process: Process) -> bool:
    """Return whether it runs: a stop takes effect only where a process comes back from what it asked of the system."""
    found = _look(process.pid)
    return found is not None and found.started == process.started and not (found.has_ended or found.is_stopped)


def _have_ended(processes: Sequence[Process], deadline_s: float) -> bool:
    return _within(deadline_s, lambda: not any(process.is_alive for process in processes))


def _within(deadline_s: float, is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + deadline_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _look(pid: int) -> Row | None:
    return _from_proc(pid) if HAS_PROC else _table().get(pid)


def _table() -> dict[int, Row]:
    """Return every process of the system."""
    if HAS_PROC:
        found = {int(path.name): _from_proc(int(path.name)) for path in PROC.iterdir() if path.name.isdecimal()}
        return {pid: row for pid, row in found.items() if row is not None}
    return _from_ps()


def _from_proc(pid: int) -> Row | None:
    try:
        status = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    boot = (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()  # the ticks count from the boot
    # The first thread may have ended while others still hold the files and ports.
    has_ended = fields[0] in GONE and int(fields[17]) <= 1
    return Row(int(fields[1]), f"{fields[19]} ticks after boot {boot}", has_ended, fields[0] in STOPPED)


def _from_ps() -> dict[int, Row]:
    """Return every process of the system, where there is no ``/proc``."""
    listed = run(("ps", "-axo", "pid=,ppid=,stat=,lstart="), cwd=Path("/"), environment=os.environ | {"LC_ALL": "C"})
    rows = (line.split(maxsplit=3) for line in listed.stdout.splitlines())
    return {
        int(pid): Row(int(parent), started.strip(), state[0] in GONE, state[0] in STOPPED)
        for pid, parent, state, started in rows
    }

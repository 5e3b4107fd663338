"""`soma export` as an operator uses it: real servers, real processes, real signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from property_tests.export.running import created, produce, publish, raw, register, story, until
from soma.cli import main
from soma_export.cli import export
from soma_export.settings import ExportSettings
from soma_export.telemetry import CATALOGUE
from soma_export.wiring import Deployment


def environment(settings: ExportSettings) -> dict[str, str]:
    return {
        "SOMA_KAFKA_BOOTSTRAP": settings.kafka,
        "SOMA_POSTGRES_DSN": settings.postgres,
        "SOMA_POSTGRES_SCHEMA": settings.schema,
        "SOMA_TOPIC_PREFIX": settings.topic_prefix,
        "SOMA_KAFKA_OPTIONS": json.dumps({"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500}),
    }


def run(settings: ExportSettings, *arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["export", *arguments], env=environment(settings))
    assert done.exit_code == code, (arguments, done.output, done.exception)
    return done


def answer(settings: ExportSettings, *arguments: str, code: int = 0) -> Any:
    return json.loads(run(settings, *arguments, "--json", code=code).stdout)


class Process:
    """``soma export run-workers`` in a process of its own."""

    def __init__(self, settings: ExportSettings, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from soma.cli import main; main()", "export", "run-workers", *arguments],
                env=os.environ | environment(settings),
                stdout=stream,
                stderr=stream,
            )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def test_the_way_of_an_operator(settings: ExportSettings, tmp_path: Path) -> None:
    made = answer(settings, "init", "--partitions", "3")
    assert [name.removeprefix(settings.topic_prefix) for name in made["topics"]] == [
        "memory.events",
        "memory.namespaces",
        "memory.dead-letters",
    ]
    assert answer(settings, "init", "--partitions", "3") == {"topics": [], "migrations": []}
    assert "up to date" in run(settings, "migrate").output
    assert "another number of partitions" in run_refused(settings, "init", "--partitions", "4")
    deployment = Deployment(settings)
    register(deployment)
    publish(deployment, story(20))
    produce(deployment, [raw(deployment, created(), value=b"{")])

    told = run(settings, "run-workers", "--dry-run").output
    assert "memory.recalled       20" in told
    assert "would be diverted" in told
    assert sum(row["lag"] for row in answer(settings, "lag")) == 65
    assert all(row["delay_s"] >= 0 for row in answer(settings, "lag") if row["lag"])

    worker = Process(settings, tmp_path / "worker.log", "--health", "127.0.0.1:0")
    until(lambda: sum(row["lag"] for row in answer(settings, "lag")) == 0, "the worker does nothing")
    assert "65 messages folded" in run(settings, "verify", "--wait", "30").output
    assert worker.end(signal.SIGTERM) == 0
    assert {line["event"] for line in worker.lines()} >= {"health", "assigned", "dead letter", "revoked"}
    assert "note" not in worker.log.read_text()  # ids, and never a payload

    assert "the store equals the fold" in run(settings, "verify", "--segments", "3").output
    assert answer(settings, "verify")["is_clean"]
    statuses = answer(settings, "status")
    assert [status["ok"] for status in statuses] == [True, True]
    assert "16 memories, 20 links, 1 dead letters" in statuses[1]["says"]
    assert "BAD" not in run(settings, "status").output

    (letter,) = answer(settings, "dead-letters", "list")
    assert letter["position"] in run(settings, "dead-letters", "list", "--stage", "decode").output
    shown = json.loads(run(settings, "dead-letters", "show", letter["position"]).stdout)
    assert shown["value"] == "{"
    assert shown["headers"]["ce_type"] == "memory.created"
    assert answer(settings, "dead-letters", "retry", letter["position"]) == {"retried": 1}
    assert answer(settings, "dead-letters", "retry", "--all") == {"retried": 0}
    assert len(answer(settings, "dead-letters", "list", "--retried")) == 1
    for wrong in (["retry"], ["retry", "--all", "x/1/2"]):
        assert "give positions, or --all" in run(settings, "dead-letters", *wrong, code=2).output
    assert "topic-id/partition/offset" in run_refused(settings, "dead-letters", "show", "seven")

    replayed = answer(settings, "replay", "--schema", f"{settings.schema}_r")
    assert replayed["verification"]["is_clean"]
    assert "not empty" in run_refused(settings, "replay", "--schema", f"{settings.schema}_r")
    swapped = answer(settings, "replay", "--swap")
    assert swapped["retired"].startswith(settings.schema)

    with deployment.database() as store:
        store.execute("DELETE FROM memory_links")
    assert "memory_links" in run(settings, "verify", code=1).output
    assert answer(settings, "verify", code=1)["n_differences"] == 20


def run_refused(settings: ExportSettings, *arguments: str) -> str:
    """Return the one sentence that a command says before it ends with exit code 2."""
    done = run(settings, *arguments, code=2)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


def test_a_worker_that_is_killed_at_any_point_loses_nothing(deployment: Deployment, tmp_path: Path) -> None:
    settings = deployment.settings
    register(deployment)
    publish(deployment, story(1_500))
    for turn in range(2):
        worker = Process(settings, tmp_path / f"{turn}.log", "--batch", "20")
        start = sum(row["lag"] for row in answer(settings, "lag"))
        until(lambda start=start: sum(r["lag"] for r in answer(settings, "lag")) < start, "nothing moves")  # type: ignore[misc]
        assert worker.end(signal.SIGKILL) == -signal.SIGKILL
    last = Process(settings, tmp_path / "last.log")
    assert answer(settings, "verify", "--wait", "60")["is_clean"]
    assert last.end(signal.SIGINT) == 0


def test_the_page_on_production_does_what_it_says(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/production.md").read_text("utf-8")
    for name, value in environment(deployment.settings).items():
        monkeypatch.setenv(name, value)
    (code,) = re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec(compile(code, "production.md", "exec"), {})
    assert sum(row["lag"] for row in answer(deployment.settings, "lag")) == 1
    named = set(re.findall(r"soma export ([a-z-]+)", page))
    assert {"init", "run-workers", "verify", "replay"} <= named <= set(export.commands)
    assert set(re.findall(r"^\| `(soma_\w+)", page, re.MULTILINE)) == set(CATALOGUE)


def test_servers_that_are_not_there_are_named() -> None:
    nowhere = ExportSettings("127.0.0.1:1", "host=127.0.0.1 port=1 password=s3cret", kafka_options={})
    said = run(nowhere, "migrate", code=2).stderr
    assert "Postgres does not answer" in said
    assert "s3cret" not in said


def test_what_is_not_set_says_how_to_get_it() -> None:
    done = CliRunner().invoke(main, ["export", "status"], env={"SOMA_KAFKA_BOOTSTRAP": "", "SOMA_POSTGRES_DSN": ""})
    assert done.exit_code == 2
    assert "soma export up" in done.output


def test_a_topic_that_is_missing_names_the_command_that_makes_it(settings: ExportSettings) -> None:
    assert "soma export init" in run_refused(settings, "lag")
    statuses = answer(settings, "status", code=1)
    assert [status["ok"] for status in statuses] == [False, False]
    assert "soma export init" in statuses[0]["says"]
    assert "soma export migrate" in statuses[1]["says"]


@pytest.mark.parametrize("health", ["nowhere", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_listened_on_is_refused(deployment: Deployment, health: str) -> None:
    assert "cannot be listened on" in run_refused(deployment.settings, "run-workers", "--health", health)

"""Chaos, from one seed: workers and servers are killed, stopped and frozen while events are published.

``python -m property_tests.export.chaos --events 100000 --kills 200 --seed 7`` starts servers of its own. What is
published and what is done to whom is drawn from the seed; when it hits is up to the machine, which is the point.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any, Final
from uuid import UUID, uuid4

import click

from property_tests.export.chaos_story import SESSION_S, SLICES, SPACES, Plan, Teller
from property_tests.export.running import is_caught_up
from soma_export.database import migrate
from soma_export.letters import find
from soma_export.local.kafka import LocalKafka
from soma_export.local.postgres import LocalPostgres
from soma_export.local.server import LocalServer
from soma_export.settings import ExportSettings
from soma_export.verify import Report, verify
from soma_export.wiring import Deployment

__all__ = ["MARKS", "Outcome", "run"]

ROOT: Final = Path(__file__).resolve().parents[2]
IMPATIENT: Final = {"session.timeout.ms": int(SESSION_S * 1e3), "heartbeat.interval.ms": 300}
STOP_S: Final = 60.0
PATIENCE_S: Final = 180.0
MARKS: Final = "SOMA_CHAOS_MARKS"
"""Names the folder in which a worker that rests between two commits leaves a file, named by its process."""


@dataclass(slots=True)
class Outcome:
    """What a run came to.

    Parameters
    ----------
    plan : Plan
        What was asked.
    counts : Counter
        What was done, and what was met.
    seconds : float
        From the first event to the end of the lag.
    report : Report, optional
        Of the verification.
    faults : list of str
        What must not be, beside the differences of the report.
    """

    plan: Plan
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    report: Report | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether the store equals the fold, and nothing acknowledged is lost."""
        return not self.faults and self.report is not None and self.report.is_clean

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        report = {} if self.report is None else self.report.to_dict()
        return {
            "is_clean": self.is_clean,
            "faults": self.faults,
            "plan": asdict(self.plan),
            **dict(sorted(self.counts.items())),
            "seconds": round(self.seconds, 1),
            "messages_per_s": round(report.get("messages", 0) / max(self.seconds, 1e-9)),
            "verify": {**report, "differences": report.get("differences", [])[:20]},
        }


@dataclass(slots=True)
class Hand:
    """One place of the deployment at which a worker runs, or ran."""

    process: subprocess.Popen[bytes]
    state: str = "runs"  # or "paused", "asked" to stop, "dead"
    until_s: float = 0.0  # when it wakes, must have stopped, or is started again


class Herd:
    """The workers: killed, paused and started again; one that ends by itself is a fault."""

    def __init__(self, plan: Plan, settings: ExportSettings, directory: Path, outcome: Outcome) -> None:
        self._command = [sys.executable, *plan.command]
        self._log = directory / "workers.log"
        self._outcome = outcome
        self._environment = os.environ | {
            "SOMA_KAFKA_BOOTSTRAP": settings.kafka,
            "SOMA_POSTGRES_DSN": settings.postgres,
            "SOMA_POSTGRES_SCHEMA": settings.schema,
            "SOMA_TOPIC_PREFIX": settings.topic_prefix,
            "SOMA_KAFKA_OPTIONS": json.dumps(IMPATIENT),
            MARKS: str(directory),
        }
        self._marks = directory
        self.hands = [Hand(self._start()) for _ in range(plan.n_workers)]

    def _start(self) -> subprocess.Popen[bytes]:
        self._outcome.counts["workers_started"] += 1
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def strike(self, kind: str, number: int, lasts_s: float) -> None:
        """Do to a worker what the plan says; one that is down is started again for it."""
        if kind == "kill between commits":
            return self._kill_between_commits(lasts_s)
        hand, until_s = self.hands[number], time.monotonic() + lasts_s
        if hand.state == "dead":
            hand.process = self._start()
        elif hand.state == "asked":
            return self.kill(hand, until_s)  # the second blow
        if kind == "kill":
            self.kill(hand, until_s)
        elif kind == "terminate":
            hand.process.send_signal(SIGCONT)
            hand.process.send_signal(SIGTERM)
            hand.state, hand.until_s = "asked", time.monotonic() + STOP_S
        else:
            hand.process.send_signal(SIGSTOP)
            hand.state, hand.until_s = "paused", until_s
        return None

    def kill(self, hand: Hand, until_s: float = 0.0) -> None:
        hand.process.send_signal(SIGKILL)
        hand.process.wait()
        hand.state, hand.until_s = "dead", until_s

    def _kill_between_commits(self, lasts_s: float) -> None:
        """Kill the first worker that is seen between two commits, whichever it is."""
        patient_until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < patient_until_s:
            self.look_after()
            for hand in self.hands:
                mark = self._marks / str(hand.process.pid)
                if hand.state == "runs" and mark.exists():
                    hand.process.send_signal(SIGSTOP)  # it cannot leave while it is looked at once more
                    os.waitid(os.P_PID, hand.process.pid, os.WSTOPPED)
                    if mark.exists():
                        return self.kill(hand, time.monotonic() + lasts_s)
                    hand.process.send_signal(SIGCONT)
            time.sleep(0.01)
        raise TimeoutError(f"no worker was between two commits in {PATIENCE_S:.0f} s")

    def look_after(self) -> None:
        """Wake and start what is due, and notice what has ended."""
        for hand in self.hands:
            is_due = time.monotonic() >= hand.until_s
            if hand.state == "dead":
                if is_due:
                    hand.process, hand.state = self._start(), "runs"
            elif (code := hand.process.poll()) is not None:
                if hand.state != "asked" or code not in (0, -SIGTERM):  # a signal may come before its handler
                    self._outcome.faults.append(f"a worker ended by itself with code {code}: read {self._log}")
                hand.state = "dead"
            elif hand.state == "paused" and is_due:
                hand.process.send_signal(SIGCONT)
                hand.state = "runs"
            elif hand.state == "asked" and is_due:
                self._outcome.faults.append(f"a worker did not stop in {STOP_S:.0f} s")
                self.kill(hand)

    def end(self) -> None:
        """Let all of them go on, and stop."""
        for hand in self.hands:
            if hand.state != "dead":
                hand.process.send_signal(SIGCONT)
                hand.process.send_signal(SIGTERM)
                hand.state, hand.until_s = "asked", time.monotonic() + STOP_S
        while any(hand.state == "asked" for hand in self.hands):
            for hand in self.hands:
                hand.until_s = max(hand.until_s, 0.0) if hand.state == "asked" else float("inf")
            self.look_after()
            time.sleep(0.02)


def run(plan: Plan, kafka: LocalServer, postgres: LocalServer, directory: Path) -> Outcome:
    """Publish, strike, mend everything, wait for the end of the lag, and verify.

    Parameters
    ----------
    plan : Plan
        What happens.
    kafka, postgres : LocalServer
        Running, and mended again after each outage. Topics and schema are the run's own.
    directory : Path
        Receives ``workers.log``.
    """
    name = f"chaos_{uuid4().hex[:8]}"
    settings = ExportSettings(kafka.address, postgres.address, topic_prefix=f"{name}.", schema=name)
    deployment, outcome = Deployment(settings), Outcome(plan)
    deployment.log.make(list(deployment.topics.to_make(plan.n_partitions)))
    migrate(settings)
    with deployment.publisher() as publisher:
        for i, space in enumerate(SPACES):
            publisher.register(space, event_id=UUID(int=i + 1), at_s=1.7e9)
    teller = Teller(plan, deployment, outcome.counts, time.time())
    herd = Herd(plan, settings, directory, outcome)
    started_s = time.monotonic()
    teller.thread.start()
    try:
        _strike(plan, teller, herd, {"kafka": kafka, "postgres": postgres}, outcome)
        teller.may_tell.release(1_000_000)
        _rest(herd, PATIENCE_S, lambda: not teller.thread.is_alive())
        for hand in herd.hands:
            if hand.state != "asked":
                hand.until_s = 0.0
        if not _rest(herd, PATIENCE_S, lambda: is_caught_up(deployment), 0.2):
            outcome.faults.append(f"the workers have not caught up in {PATIENCE_S:.0f} s")
        outcome.seconds = time.monotonic() - started_s
    finally:
        teller.is_cancelled = True
        herd.end()
        teller.thread.join()
    if teller.failure is not None:
        raise teller.failure
    _examine(deployment, teller, outcome)
    return outcome


def _strike(plan: Plan, teller: Teller, herd: Herd, servers: Mapping[str, LocalServer], outcome: Outcome) -> None:
    rng = plan.draw("monkey")
    for kind, number, lasts_s in plan.strokes():
        for _ in range(SLICES):
            _rest(herd, rng.uniform(0, plan.wait_s / SLICES))
            teller.tells.clear()
            teller.may_tell.release()
        teller.tells.wait(2.0)  # strike while there is work
        time.sleep(rng.uniform(0, 0.2))
        outcome.counts[kind] += 1
        server, _, how = kind.partition(" ")
        if server not in servers:
            herd.strike(kind, number, lasts_s)
            continue
        getattr(servers[server], how)()
        teller.may_tell.release()
        _rest(herd, lasts_s)
        servers[server].resume()
        servers[server].start()


def _rest(herd: Herd, lasts_s: float, until: Callable[[], bool] = lambda: False, each_s: float = 0.02) -> bool:
    """Look after the herd until something is so, or the time is up; return whether it is so."""
    until_s = time.monotonic() + lasts_s
    while not (is_so := until()) and time.monotonic() < until_s:
        herd.look_after()
        time.sleep(each_s)
    return is_so


def _examine(deployment: Deployment, teller: Teller, outcome: Outcome) -> None:
    outcome.report = verify(deployment)
    with deployment.database() as store:
        taken = {event_id for (event_id,) in store.execute("SELECT event_id FROM memory_events")}
    letters = {(letter.position.partition, letter.position.offset): letter for letter in find(deployment)}
    topic = deployment.log.required(deployment.topics.dead_letters)
    sent = {message.key for message in deployment.log.read(topic, {0: 0}, {0: deployment.log.bounds(topic)[0][1]})}
    outcome.counts |= {
        "acknowledged": len(teller.acknowledged),
        "events_taken": len(taken),
        "dead_letters": len(letters),
        "duplicates_dropped": outcome.report.n_messages - len(taken) - len(letters),
    }
    wrong: dict[str, set[Any]] = {
        "acknowledged events are not in memory_events": teller.acknowledged - taken,
        "messages of poison are no dead letters": teller.poison - letters.keys(),
        "dead letters were no poison": {
            place for place, letter in letters.items() if (letter.key, letter.value) not in teller.poison_bytes
        },
        "dead letters would be refused again": set(outcome.report.acceptable),
        "dead letters are not in their topic": {str(letter.position).encode() for letter in letters.values()} - sent,
    }
    for what, found in wrong.items():
        if found:
            outcome.faults.append(f"{len(found)} {what}: {sorted(map(str, found))[:3]}")


@click.command()
@click.option("--events", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--kills", type=click.IntRange(0), default=200, show_default=True, help="Kills and pauses of workers.")
@click.option("--outages", type=click.IntRange(0), default=12, show_default=True, help="Outages of Kafka and Postgres.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "is_json", is_flag=True, help="Print every figure.")
def main(events: int, kills: int, outages: int, seed: int, is_json: bool) -> None:
    """Run the chaos on servers of its own; exit code 1 unless nothing was lost or counted twice."""
    with tempfile.TemporaryDirectory(prefix="soma-chaos-") as folder:
        kafka = LocalKafka.find(Path(folder) / "kafka", is_apache_required=True)
        postgres = LocalPostgres.find(Path(folder) / "postgres")
        try:
            kafka.start()
            postgres.start()
            outcome = run(Plan(seed, events, kills, outages), kafka, postgres, Path(folder))
        finally:
            kafka.remove()
            postgres.remove()
        if not outcome.is_clean:
            click.echo((Path(folder) / "workers.log").read_text("utf-8", "replace")[-20_000:], err=True)
    if is_json:
        click.echo(json.dumps(outcome.to_dict(), indent=1))
    click.echo(f"seed {seed}: {'clean' if outcome.is_clean else 'NOT CLEAN'}", err=True)
    sys.exit(not outcome.is_clean)


if __name__ == "__main__":
    main()

"""Every source on the command line: what it prints, where it stops, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from property_tests.cli.test_commands import make_repository
from soma.cli import main
from soma.cli.importing import Interruptible

LINE = '{"text": "Ada fixed the clock", "timestamp": "2026-03-01T10:00Z", "id": 1}\n'
CHAT = "[2026-03-01 10:00] Ada: The clock is fixed\n[2026-03-01 10:01] Bo: At last\n"
MAIL = "From ada\nDate: Sun, 1 Mar 2026 10:00:00 +0000\nSubject: Clock\n\nIt is fixed.\n"
TURN = {"speaker": "Ada", "dia_id": "D1:1", "text": "The clock is fixed"}
TALK = {"session_1_date_time": "1:56 pm on 1 March, 2026", "session_1": [TURN]}
LOCOMO = json.dumps([{"sample_id": "conv-1", "conversation": TALK, "qa": []}])

SOURCES: dict[str, tuple[str, str, tuple[str, ...], int]] = {
    "jsonl": ("notes.jsonl", LINE, (), 1),
    "jsonl with names": (
        "named.jsonl",
        '{"note": "clock", "at": "2026-03-01 10:00", "key": 1, "weight": 7, "labels": ["ci"]}\n',
        (
            *("--text-field=note", "--time-field=at", "--id-field=key", "--importance-field=weight"),
            *("--tags-field=labels", "--timezone=UTC"),
        ),
        1,
    ),
    "csv": ("notes.csv", "text,timestamp\nclock,2026-03-01\nmenu,2026-03-02\n", (), 2),
    "csv with tabs": ("notes.tsv", "text\ttimestamp\nclock\t2026-03-01\n", ("--delimiter", "\\t"), 1),
    "mbox": ("inbox.mbox", MAIL, (), 1),
    "chat": ("standup.txt", CHAT, ("--timezone", "Europe/Berlin"), 2),
    "chat without times": ("talk.json", '[{"role": "user", "content": "clock"}]', ("--start", "2026-03-01"), 1),
    "locomo": ("ours.json", LOCOMO, (), 1),
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SOMA_")]:
        monkeypatch.delenv(name)


def run(*arguments: object) -> Result:
    """Run a command in this process: a new one for each would take most of the time."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="soma")


def answer(*arguments: object) -> Any:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_read_dry_then_remembered_and_only_once(name: str, tmp_path: Path) -> None:
    file, content, options, n = SOURCES[name]
    (tmp_path / file).write_text(content, "utf-8")
    command = ("ingest", name.partition(" ")[0], file, *options, "--json", "-p", "store")
    assert answer(*command, "--dry-run") == {"read": n, "skipped": 0}
    assert not (tmp_path / "store").exists()
    assert answer(*command) == {"new": n, "known": 0, "skipped": 0}
    assert answer(*command) == {"new": 0, "known": n, "skipped": 0}
    hits = answer("recall", "clock", "--json", "-p", "store")["hits"]
    assert "clock" in hits[0]["text"].lower()


BAD: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "jsonl": (LINE + "{\n", "line 2: the document is not JSON", ()),
    "csv": ("text,timestamp\nclock,2026-03-01\nmenu\n", "line 3: the row has 1 cells", ()),
    "mbox": (MAIL + "\n" + MAIL.replace("Date: Sun, 1 Mar", "Date: Sun, 99 Mar"), "message 2: Date must be a date", ()),
    "chat": (CHAT.replace("10:01", "10:99"), "line 2: the message's time must be ISO 8601", ("--timezone", "UTC")),
    "locomo": (LOCOMO.replace("D1:1", "one"), "conv-1, session 1, turn 1: dia_id must read D1:3", ()),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_taken_stops_before_anything_is_stored_or_is_skipped_and_told(name: str, tmp_path: Path) -> None:
    content, reason, options = BAD[name]
    (tmp_path / "bad").write_text(content, "utf-8")
    command = ("ingest", name, "bad", *options, "-p", "store")
    stopped = run(*command)
    assert (stopped.exit_code, stopped.stdout) == (2, "")
    (sentence,) = stopped.stderr.splitlines()
    assert sentence.startswith(f"soma: bad, {reason}")
    skipped = run(*command, "--on-error", "skip")
    assert skipped.exit_code == 0
    assert skipped.stderr == f"skipped: {sentence.removeprefix('soma: ')}\n"
    assert ", 1 skipped" in skipped.stdout


def test_many_refusals_are_counted_and_a_few_shown(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text(LINE + "[]\n" * 7)
    done = run("ingest", "jsonl", "notes.jsonl", "--on-error=skip", "-p", "store")
    assert done.stdout == "1 new lines remembered, 0 known before, 7 skipped\n"
    assert len(done.stderr.splitlines()) == 6
    assert done.stderr.endswith("skipped: 2 more\n")
    counts = answer("ingest", "jsonl", "notes.jsonl", "--on-error=skip", "--dry-run", "--json")
    assert counts == {"read": 1, "skipped": 7}


def lines(start: int, stop: int) -> bytes:
    return b"".join(
        json.dumps({"text": f"note {i}", "timestamp": i, "id": i}).encode() + b"\n" for i in range(start, stop)
    )


def test_an_error_in_a_later_batch_says_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_bytes(lines(0, 700) + b"{\n")
    done = run("ingest", "jsonl", "notes.jsonl", "--progress", "-p", "store")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "",
        "500 read, 500 of them new",
        "broken off: 500 new lines are remembered; the same command goes on from there",
        "soma: notes.jsonl, line 701: the document is not JSON: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
    ]
    assert answer("stats", "--json", "-p", "store")["episodic"] == 500


def test_the_future_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text(LINE.replace("2026", "9000"))
    done = run("ingest", "jsonl", "notes.jsonl", "-p", "store")
    assert done.stderr.startswith("soma: notes.jsonl, line 1: the time must not lie after ")


def test_ctrl_c_leaves_whole_batches_and_the_same_command_goes_on(tmp_path: Path) -> None:
    pipe = tmp_path / "notes.jsonl"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", "from soma.cli import main; main()", "ingest", "jsonl", str(pipe), "--progress"]
    with subprocess.Popen([*command, "-p", str(tmp_path / "store")], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            with pipe.open("wb") as writer:
                writer.write(lines(0, 1_200))  # two batches, and a part of a third one, for which it waits
                writer.flush()
                told = b""
                while b"1,000 read" not in told:
                    told += process.stderr.read(1)
                process.send_signal(signal.SIGINT)
                told += process.stderr.read()
            assert process.wait(60) == 1
        finally:
            process.kill()
    assert told.decode().splitlines()[-2:] == [
        "broken off: 1,000 new lines are remembered; the same command goes on from there",
        "Aborted!",
    ]
    assert answer("stats", "--json", "-p", "store")["episodic"] == 1_000
    pipe.unlink()
    pipe.write_bytes(lines(0, 1_200))
    counts: Any = answer("ingest", "jsonl", pipe, "--json", "-p", "store")
    assert counts == {"new": 200, "known": 1_000, "skipped": 0}


def test_ctrl_c_waits_for_the_batch_that_is_being_stored() -> None:
    pulled: list[int] = []
    episodes = Interruptible(iter(map(pulled.append, range(9))))  # type: ignore[arg-type]
    with episodes.listening():
        next(episodes)
        os.kill(os.getpid(), signal.SIGINT)  # a batch is being stored: nothing happens yet
        with pytest.raises(KeyboardInterrupt):
            next(episodes)
        with pytest.raises(KeyboardInterrupt):  # the second one does not wait
            os.kill(os.getpid(), signal.SIGINT)
    assert pulled == [0]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_git_runs_dry_too(tmp_path: Path) -> None:
    make_repository(tmp_path / "repository", 2)
    assert answer("ingest", "git", "repository", "--dry-run", "--json") == {"read": 2}
    done = run("ingest", "git", "repository", "--progress", "-p", "store")
    assert done.stdout == "2 new commits remembered, 0 known before\n"
    assert "2 read, 2 of them new" in done.stderr

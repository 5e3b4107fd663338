"""The command line on real input: what it prints, and how it refuses: one sentence, exit code 2, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import soma
from soma import policy as p
from soma.cli import COMMANDS
from soma.cli.demo import dimension_of
from soma.embedding import FunctionEmbedder

MISSING = "00000000-0000-4000-8000-000000000000"


def run(*arguments: object, cwd: Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SOMA_")}
    done = subprocess.run(
        [sys.executable, "-c", "from soma.cli import main; main()", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env={**clean, **environment},
        check=False,
        timeout=120,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def answer(*arguments: object, cwd: Path, **more: Any) -> Any:
    done = run(*arguments, cwd=cwd, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def make_repository(path: Path, n: int = 6) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    who = {
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "a@b.example",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "a@b.example",
    }
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    subjects = [
        "Start the clock",
        "Fix a flaky clock test",
        "Document the menu",
        "Make parsing faster",
        "Add tests",
        "Release 1.0",
    ]
    for i in range(n):
        (path / f"file{i}.txt").write_text(f"{i}\n" * (i + 1))
        date = f"2026-{i % 6 + 1:02}-{i // 6 + 1:02}T12:00:00Z"
        when = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        subprocess.run(["git", "-C", str(path), "add", "."], check=True)
        subprocess.run(
            ["git", "-C", str(path), "commit", "-q", "-m", subjects[i % len(subjects)] + " again" * (i // 6)],
            check=True,
            env={**os.environ, **who, **when},
        )
    return path


def test_a_memory_goes_in_comes_back_and_is_forgotten(tmp_path: Path) -> None:
    store = ("-p", tmp_path / "store", "-n", "lab")
    record = answer(
        "remember",
        "Ada fixed the flaky clock test",
        "-i",
        7,
        "-t",
        "ci",
        "--payload",
        '{"n": 1}',
        "--json",
        *store,
        cwd=tmp_path,
    )
    assert record["payload"] == {"n": 1}
    plain = run("remember", "The menu of the week", *store, cwd=tmp_path)
    other = plain.stdout.strip()
    found = answer("recall", "flaky clock", "-k", 1, "--json", *store, cwd=tmp_path)
    assert [hit["id"] for hit in found["hits"]] == [record["id"]]
    assert found["hits"][0]["explanation"]["value"] == pytest.approx(found["hits"][0]["score"], rel=1e-12)
    shown = run("recall", "flaky clock", "--explain", "--reinforce", *store, cwd=tmp_path).stdout
    assert "Ada fixed the flaky clock test" in shown
    assert "similarity()" in shown
    assert answer("stats", "--json", *store, cwd=tmp_path)["episodic"] == 2
    said = answer("forget", other, "--dry-run", "--json", *store, cwd=tmp_path)
    assert said == {"forgotten": [other], "dry_run": True}
    assert answer("forget", other, "--json", *store, cwd=tmp_path) == {"forgotten": [other], "dry_run": False}
    counts = answer("stats", "--json", *store, cwd=tmp_path)
    assert (counts["episodic"], counts["deleted"], counts["events"]) == (1, 1, 6)


def test_a_payload_comes_from_standard_input_and_a_policy_from_a_file(tmp_path: Path) -> None:
    store = ("-p", tmp_path / "store")
    answer("remember", "clock", "--payload", "-", "--json", *store, cwd=tmp_path, stdin=b'{"k": "v"}')
    (tmp_path / "policy.json").write_text(p.importance().to_json())
    found = answer("recall", "anything", "--policy", tmp_path / "policy.json", "--json", *store, cwd=tmp_path)
    assert found["policy"] == "importance()"
    assert found["hits"][0]["score"] == 0.5


def test_what_has_expired_is_swept(tmp_path: Path) -> None:
    store = ("-p", tmp_path / "store")
    run("remember", "old news", "--timestamp", "2026-01-01", "--expires-at", "2026-01-02", *store, cwd=tmp_path)
    assert "would forget 1 expired" in run("forget", "--expired", "--dry-run", *store, cwd=tmp_path).stdout
    assert answer("stats", "--json", *store, cwd=tmp_path)["deleted"] == 0
    assert "forgot 1 expired" in run("forget", "--expired", *store, cwd=tmp_path).stdout
    assert answer("stats", "--json", *store, cwd=tmp_path)["deleted"] == 1


def test_git_history_becomes_memories_at_its_own_time_and_only_once(tmp_path: Path) -> None:
    repository, store = make_repository(tmp_path / "repository"), ("-p", tmp_path / "store")
    assert answer("ingest", "git", repository, "--json", *store, cwd=tmp_path) == {"new": 6, "known": 0}
    assert answer("ingest", "git", repository, "--json", *store, cwd=tmp_path) == {"new": 0, "known": 6}
    found = answer("recall", "flaky clock", "-k", 9, "--as-of", "2026-03-15", "--json", *store, cwd=tmp_path)
    assert found["n_candidates"] == 3
    assert found["hits"][0]["text"].startswith("Fix a flaky clock test")


def test_the_demo_runs_on_any_repository(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    told = run("demo", repository, "--out", tmp_path / "out", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    for expected in ("6 commits", "a bug was fixed", "similarity()", "a year on", "soma recall", "recalled.png"):
        assert expected in told.stdout
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["recalls"]) == 5
    first = manifest["a_year_on"][0]
    assert first["unrecalled"] < min(first["recalled"], first["today"])
    assert all(row["unrecalled"] == row["recalled"] for row in manifest["a_year_on"][1:])
    for name in manifest["files"]:
        assert Path(name).read_bytes().startswith(b"\x89PNG")
    with soma.open(tmp_path / "out" / "store", namespace="demo") as memory:
        assert len(memory) == 6
    again = answer("demo", repository, "--out", tmp_path / "json", "--json", cwd=tmp_path)
    assert again["n_memories"] == 6
    assert again["dimension"] is None  # six texts say nothing of it
    assert again["consolidation"]["before"] == 6


def test_the_demo_says_in_how_many_dimensions_enough_texts_vary(tmp_path: Path) -> None:
    done = run("demo", make_repository(tmp_path / "repository", 24), "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "dimensions." in done.stdout
    assert "Nothing was written" in done.stdout
    shape = json.loads((tmp_path / "out" / "manifest.json").read_text())["dimension"]
    assert 1.0 < shape["value"] < 40.0
    assert shape["n_points"] == 24


def test_the_demo_says_nothing_of_texts_that_share_nothing(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).standard_normal((24, 24))
    for vectors, is_told in ((np.eye(24), False), (np.linalg.qr(drawn)[0], False), (drawn, True)):
        made = FunctionEmbedder(lambda texts, v=vectors: v[[int(t) for t in texts]], 24, f"drawn-{vectors[0]}")  # type: ignore[misc]
        with soma.open(tmp_path / f"{vectors[0, 0]}", embedder=made) as memory:
            for n in range(24):
                memory.remember(str(n))
            assert (dimension_of(memory) is not None) == is_told


def test_the_doctor_says_what_is_there_and_prints_no_secret(tmp_path: Path) -> None:
    done = run("doctor", cwd=tmp_path, SOMA_PATH=str(tmp_path / "nothing"), SOMA_API_KEY="s3cret-value")
    assert done.returncode == 0, done.stdout
    assert "not made yet" in done.stdout
    assert "SOMA_API_KEY" in done.stdout
    assert "s3cret-value" not in done.stdout + done.stderr
    broken = run("doctor", "--json", cwd=tmp_path, SOMA_MODE="NOWHERE")
    assert broken.returncode == 2
    assert any(not finding["ok"] for finding in json.loads(broken.stdout))


def test_every_command_has_help(tmp_path: Path) -> None:
    listed = run("--help", cwd=tmp_path).stdout
    for command in COMMANDS:
        assert command in listed
        told = run(command, "--help", cwd=tmp_path)
        assert told.returncode == 0
        assert len(told.stdout.splitlines()) > 3
    assert soma.__version__ in run("--version", cwd=tmp_path).stdout


def bad_calls(tmp_path: Path) -> dict[str, tuple[Any, ...]]:
    (tmp_path / "plain").mkdir()
    subprocess.run(["git", "init", "-q", str(tmp_path / "empty")], check=True)
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    (tmp_path / "nan.json").write_text('{"soma_policy": 1, "expression": NaN}')
    return {
        "an empty repository": ("ingest", "git", tmp_path / "empty"),
        "an empty repository for the demo": ("demo", tmp_path / "empty", "--out", tmp_path / "out"),
        "no repository": ("ingest", "git", tmp_path / "plain"),
        "no such path": ("ingest", "git", tmp_path / "nowhere"),
        "no such path for the demo": ("demo", tmp_path / "nowhere", "--out", tmp_path / "out"),
        "a text without words": ("remember", " "),
        "a payload that is no JSON": ("remember", "x", "--payload", "{"),
        "a payload that is no object": ("remember", "x", "--payload", "[1]"),
        "a payload with NaN": ("remember", "x", "--payload", '{"a": NaN}'),
        "a payload with a duplicate key": ("remember", "x", "--payload", '{"a": 1, "a": 2}'),
        "a naive time": ("remember", "x", "--timestamp", "2026-03-01T12:00:00"),
        "a time that is none": ("recall", "x", "--as-of", "yesterday"),
        "a time from the future": ("remember", "x", "--timestamp", "9000-01-01"),
        "an unknown memory": ("forget", MISSING),
        "an id that is none": ("forget", "seven"),
        "an unknown embedder": ("remember", "x", "--embedder", "oracle"),
        "a namespace out of bounds": ("remember", "x", "-n", "x" * 300),
        "a namespace without a name": ("remember", "x", "-n", ""),
        "a folder without a name": ("remember", "x", "-p", ""),
        "an importance beyond JSON": ("remember", "x", "-i", str(2**60)),
        "an instant that is none": ("recall", "x", "--as-of", "not a date"),
        "a query without words": ("recall", " "),
        "no hits wanted": ("recall", "x", "-k", "0"),
        "a policy that is not there": ("recall", "x", "--policy", tmp_path / "none.json"),
        "a policy that is no text": ("recall", "x", "--policy", tmp_path / "bad.json"),
        "a policy with NaN": ("recall", "x", "--policy", tmp_path / "nan.json"),
    }


def test_bad_input_gets_one_sentence_exit_code_2_and_stores_nothing(tmp_path: Path) -> None:
    environment = {"SOMA_PATH": str(tmp_path / "store")}
    answer("remember", "x", "--json", cwd=tmp_path, **environment)
    before = answer("stats", "--json", cwd=tmp_path, **environment)
    for name, arguments in bad_calls(tmp_path).items():
        done = run(*arguments, cwd=tmp_path, **environment)
        assert done.returncode == 2, (name, done)
        assert "Traceback" not in done.stderr, (name, done.stderr)
        sentences = done.stderr.strip().splitlines()
        assert len(sentences) == 1, (name, done.stderr)
        assert 20 < len(sentences[0]) < 300, (name, done.stderr)
    assert answer("stats", "--json", cwd=tmp_path, **environment) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [("stats",), ("recall", "clock"), ("recall", "clock", "--as-of", "2026-03-01")])
def test_reading_makes_no_store(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(*command, cwd=tmp_path, SOMA_PATH=str(tmp_path / "typo"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no soma store" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    done = run("remember", "x", "--payload", "-", cwd=tmp_path, stdin=b'{"a": "\xff"}', SOMA_PATH=str(tmp_path / "s"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "UTF-8" in done.stderr


@pytest.mark.parametrize("mode", ["PRODUCTION", "EVENTED_ENTERPRISE", "LEGACY_COMPAT"])
def test_a_mode_that_is_unknown_or_not_served_is_refused(tmp_path: Path, mode: str) -> None:
    done = run("stats", cwd=tmp_path, SOMA_MODE=mode, SOMA_PATH=str(tmp_path / "s"))
    assert done.returncode == 2
    assert mode in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_server_that_is_configured_is_never_replaced_in_silence(tmp_path: Path) -> None:
    done = run("stats", cwd=tmp_path, SOMA_REDIS_URL="redis://user:s3cret@127.0.0.1:1/0", SOMA_PATH=str(tmp_path / "s"))
    assert done.returncode == 2
    assert "127.0.0.1:1" in done.stderr
    assert "s3cret" not in done.stderr


def test_an_answer_that_has_no_room_is_one_sentence(tmp_path: Path) -> None:
    run("remember", "x", cwd=tmp_path, SOMA_PATH=str(tmp_path / "s"))
    command = [sys.executable, "-c", "from soma.cli import main; main()", "recall", "x", "-p", str(tmp_path / "s")]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=buffered)
    assert done.returncode == 1
    assert done.stderr.startswith("soma: what was to be written has no room")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "value"), [("SOMA_MODE", "TEST"), ("SOMA_REDIS_URL", "redis://127.0.0.1:1/0")])
def test_a_folder_is_not_passed_over_for_another_store(tmp_path: Path, name: str, value: str) -> None:
    done = run("stats", "--path", str(tmp_path / "s"), cwd=tmp_path, **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--path names a folder, and {name} another store" in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in run("--debug", "forget", MISSING, cwd=tmp_path, SOMA_PATH=str(tmp_path / "s")).stderr

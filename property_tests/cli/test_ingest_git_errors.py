"""What cannot be read is refused in one sentence, and nothing is half read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from property_tests.cli.repositories import commit, git, repository_at
from soma.errors import ConfigurationError, InvalidParameterError, SomaError
from soma.ingest import Commit, commits_as_memories, read_history


def missing(folder: Path) -> Path:
    return folder / "missing"


def no_folder(folder: Path) -> Path:
    (folder / "file").write_text("x")
    return folder / "file"


def inside_a_file(folder: Path) -> Path:
    return no_folder(folder) / "x"


def no_repository(folder: Path) -> Path:
    return folder


def without_commits(folder: Path) -> Path:
    return repository_at(folder)


def on_an_unborn_branch(folder: Path) -> Path:
    commit(repository_at(folder), "one")
    git(folder, "switch", "-q", "--orphan", "empty")
    return folder


def without_a_blob(folder: Path) -> Path:
    for i in range(3):
        commit(repository_at(folder), f"commit {i}", file="line\n" * (i + 1))
    sha = git(folder, "rev-parse", "HEAD~1:file")
    (folder / ".git" / "objects" / sha[:2] / sha[2:]).unlink()
    return folder


def without_a_commit(folder: Path) -> Path:
    without_a_blob(folder)
    sha = git(folder, "rev-parse", "HEAD")
    (folder / ".git" / "objects" / sha[:2] / sha[2:]).unlink()
    return folder


def with_broken_settings(folder: Path) -> Path:
    commit(repository_at(folder), "one")
    (folder / ".git" / "config").write_text("[nonsense")
    return folder


def cloned_in_part(folder: Path) -> Path:
    origin = repository_at(folder / "origin")
    commit(origin, "one", a="1\n")
    commit(origin, "two", a="1\n2\n")
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(folder, "clone", "-q", "--bare", "--filter=blob:none", f"file://{origin}", "partial")
    return folder / "partial"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (missing, "missing does not exist: give"),
        (no_folder, "is not a folder: give"),
        (inside_a_file, "cannot be read"),
        (no_repository, "is not in a git repository: give"),
        (without_commits, "is an empty repository: commit something first"),
        (on_an_unborn_branch, "is an empty repository: commit something first, or check out a branch"),
        (without_a_blob, "git cannot read the history of"),
        (without_a_commit, "git fsck"),
        (with_broken_settings, "git cannot read the history of"),
        (cloned_in_part, "if it is a partial clone"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, broken: Callable[[Path], Path], words: str
) -> None:
    folder = broken(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        list(read_history(folder))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_a_commit_is_never_yielded(tmp_path: Path) -> None:
    folder = without_a_blob(tmp_path)
    seen: list[Commit] = []
    with pytest.raises(ConfigurationError):
        seen.extend(read_history(folder))  # extend keeps what came before the error
    assert [c.n_files for c in seen] == [1] * len(seen)
    assert len(seen) <= 1


def test_a_machine_without_git_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(ConfigurationError, match="git is not installed: install it"):
        read_history(tmp_path)


def test_errors_come_from_the_call_not_from_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(SomaError):
        commits_as_memories(tmp_path / "missing")


@pytest.mark.parametrize("limit", [-1, 1.5, True, "3"])
def test_a_limit_outside_its_domain_is_refused(repository: Path, limit: int) -> None:
    with pytest.raises(InvalidParameterError, match="limit"):
        read_history(repository, limit=limit)


@pytest.mark.parametrize("latest_s", [-1.0, float("nan"), float("inf"), "tomorrow"])
def test_a_latest_time_outside_its_domain_is_refused(repository: Path, latest_s: float) -> None:
    with pytest.raises(InvalidParameterError, match="latest_s"):
        commits_as_memories(repository, latest_s=latest_s)


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5_000])
def test_a_path_that_cannot_exist_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError):
        read_history(path)

"""Repositories that several tests of ingestion read."""

from __future__ import annotations

from pathlib import Path

import pytest

from property_tests.cli.repositories import commit, git, repository_at


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose history each example replaces."""
    return repository_at(tmp_path_factory.mktemp("scratch"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with a merge, a rename, a binary file and a body."""
    folder = repository_at(tmp_path / "repository")
    commit(
        folder,
        "feat(clock): first\n\nBecause time passes.\n\nSigned-off-by: Ada <ada@example.org>",
        a="1\n2\n",
    )
    git(folder, "switch", "-q", "-c", "side")
    commit(folder, "side work", side="x\n")
    git(folder, "switch", "-q", "main")
    git(folder, "mv", "a", "b")
    (folder / "a.png").write_bytes(b"\0\1\2")
    commit(folder, "fix: rename")
    git(folder, "merge", "-q", "--no-ff", "-m", "merge side", "side")
    (folder / "sub" / "folder").mkdir(parents=True)
    (folder / "sub" / "folder" / "file").write_text("deep\n")
    commit(folder, "deep")
    return folder

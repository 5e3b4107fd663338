"""Git repositories made for the tests of ingestion."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

GIT = shutil.which("git") or "git"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "1700000000 +0000" for who in ("AUTHOR", "COMMITTER")},
}
LATEST_S = 253_402_300_799


def git(folder: Path, *arguments: str | bytes, stdin: bytes = b"") -> str:
    done = subprocess.run(
        [GIT, "-C", os.fspath(folder), *arguments],
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode("utf-8", "replace").strip()


def repository_at(folder: Path, object_format: str = "sha1") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", f"--object-format={object_format}", ".")
    return folder


def commit(folder: Path, subject: str, **files: str) -> None:
    for name, content in files.items():
        (folder / name).write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", subject)


@dataclass
class Written:
    """A commit for ``git fast-import``: everything as bytes."""

    message: bytes
    author: bytes = b"Ada"
    seconds: int = 1_700_000_000
    files: dict[bytes, bytes] = field(default_factory=dict)


def quoted(name: bytes) -> bytes:
    return b'"' + b"".join(b"\\%03o" % byte for byte in name) + b'"'


def import_history(folder: Path, history: list[Written]) -> None:
    stream = b"reset refs/heads/main\n"
    for written in history:
        who = b"%s <ada@example.org> %d +0000\n" % (written.author, written.seconds)
        stream += b"commit refs/heads/main\nauthor " + who + b"committer " + who
        stream += b"data %d\n%s\n" % (len(written.message), written.message)
        for name, content in written.files.items():
            stream += b"M 100644 inline %s\ndata %d\n%s\n" % (quoted(name), len(content), content)
        stream += b"\n"
    git(folder, "fast-import", "--quiet", "--force", "--date-format=raw-permissive", stdin=stream)

"""The history of a git repository, streamed from ``git log``.

Nothing in the repository is run or written: no hook, pager, external diff, signature check or lazy fetch, and
no environment variable that points git elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from stat import S_ISDIR
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, cast

from soma.errors import ConfigurationError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from typing import IO

__all__ = ["Commit", "read_history"]

_MAX_FILES = 50

_FIELDS = ("%H", "%P", "%an", "%ae", "%at", "%ct", "%s", "%b")
_FORMAT = "".join(f"%x00{field}" for field in _FIELDS) + "%x00"
_LOG = (
    *("log", "-z", "--reverse", "--root", "--numstat", "-M", "-l1000", "--diff-algorithm=default"),
    *("--encoding=UTF-8", "--no-ext-diff", "--no-textconv", "--no-show-signature"),
    f"--format=tformat:{_FORMAT}",
)
_COMMAND = ("--no-pager", "--no-optional-locks", "--no-replace-objects", "-c", "diff.relative=false")
_KEPT_VARIABLES = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit, as git tells it.

    Parameters
    ----------
    sha : str
        Its full hash, 40 or 64 hexadecimal digits.
    parents : tuple of str
        Hashes of its parents: none for a root, two or more for a merge.
    author, email : str
        As written in the commit; no mailmap is applied.
    authored, committed : str
        The two times as git prints them: POSIX seconds in decimal, or empty where git cannot read them.
    subject, body : str
        The message, converted by git to UTF-8 from the encoding that the commit declares.
    files : tuple of str
        The first 50 paths that it changed, under their new names; none for a merge, whose changes belong to
        the commits that it brings in.
    n_files, insertions, deletions : int
        Of all paths; a binary file counts as a file of no lines.
    is_damaged : bool
        Whether some bytes were not UTF-8 and became U+FFFD.
    is_cut_off : bool
        Whether a shallow clone ends here: parents and changes are unknown, and given as none.
    """

    sha: str
    parents: tuple[str, ...]
    author: str
    email: str
    authored: str
    committed: str
    subject: str
    body: str
    files: tuple[str, ...]
    n_files: int
    insertions: int
    deletions: int
    is_damaged: bool
    is_cut_off: bool


def read_history(path: str | PathLike[str], *, limit: int | None = None) -> Iterator[Commit]:
    """Yield the commits that lead to ``HEAD``, oldest first.

    Parameters
    ----------
    path : path
        A repository, a folder inside one (its whole history is read), a bare repository or a worktree.
    limit : int, optional
        Only the last so many commits, >= 0.

    Yields
    ------
    Commit
        One after the other, as git computes them; closing the iterator ends git.

    Raises
    ------
    InvalidParameterError
        For a limit outside its domain.
    ConfigurationError
        If git is not installed, ``path`` is no folder of a repository or has no commit, or git fails.

    Notes
    -----
    The commits are those of the current branch; uncommitted work is not read. Laws:
    ``property_tests/cli/test_ingest_git.py``.

    Examples
    --------
    >>> read_history("/no/such/folder")
    Traceback (most recent call last):
    soma.errors.ConfigurationError: /no/such/folder does not exist: give the folder of a git repository
    """
    if limit is not None and (type(limit) is not int or limit < 0):
        raise InvalidParameterError("limit", limit, "must be None or an int >= 0")
    git, folder = _git(), Path(path).absolute()
    _require_commits(git, folder)
    command = _command(git, folder, *_LOG, *_limited(limit), "HEAD", "--")
    return _stream(command, folder, _edge(git, folder))


def _git() -> str:
    git = shutil.which("git")
    if git is None:
        raise ConfigurationError("git is not installed", "install it, from https://git-scm.com or by apt or brew")
    return git


def _limited(limit: int | None) -> tuple[str, ...]:
    return () if limit is None else (f"--max-count={limit}",)


def _environment() -> dict[str, str]:
    """Leave out what would point git elsewhere or trace it, and refuse the network of partial clones."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _KEPT_VARIABLES}
    return {**kept, "LC_ALL": "C", "GIT_ALLOW_PROTOCOL": ""}


def _command(git: str, folder: Path, *arguments: str) -> list[str]:
    return [git, *_COMMAND, "-C", str(folder), *arguments]


def _answer(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - an absolute program, no shell, and options that we wrote
        command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )


def _edge(git: str, folder: Path) -> frozenset[bytes]:
    """Read the commits where a shallow clone ends; git would tell all their files as new."""
    where = _answer(_command(git, folder, "rev-parse", "--git-path", "shallow")).stdout.removesuffix(b"\n")
    try:
        return frozenset((folder / os.fsdecode(where)).read_bytes().split())
    except FileNotFoundError:
        return frozenset()


def _require_commits(git: str, folder: Path) -> None:
    shown = _shown(folder)
    try:
        is_folder = S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        raise ConfigurationError(f"{shown} does not exist", "give the folder of a git repository") from None
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"{shown} cannot be read ({exc})", "give a folder that can") from exc
    if not is_folder:
        raise ConfigurationError(f"{shown} is not a folder", "give the folder of a git repository")
    probe = _answer(_command(git, folder, "rev-parse", "--verify", "HEAD"))
    if probe.returncode == 0:
        return
    complaint = probe.stderr.decode("utf-8", "replace")
    if "not a git repository" in complaint:
        raise ConfigurationError(
            f"{shown} is not in a git repository", "give a folder that is, or run `git init` and commit there"
        )
    if "Needed a single revision" in complaint:
        raise ConfigurationError(
            f"{shown} is an empty repository",
            "commit something first, or check out a branch that has commits",
        )
    raise _failure(folder, complaint)


def _failure(folder: Path, complaint: str) -> ConfigurationError:
    if "dubious ownership" in complaint:
        hint = f"if you trust it, run `git config --global --add safe.directory {_shown(folder)}`"
        return ConfigurationError(f"{_shown(folder)} belongs to another user", hint)
    lines = [line.strip() for line in complaint.splitlines() if line.strip()] or ["no reason given"]
    reason = next((line for line in lines if line.startswith("fatal: ")), lines[-1]).removeprefix("fatal: ")
    return ConfigurationError(
        f"git cannot read the history of {_shown(folder)} ({reason})",
        "run `git fsck` there, or `git fetch --refetch` if it is a partial clone",
    )


def _shown(path: Path) -> str:
    return str(path).encode("utf-8", "replace").decode()


def _stream(command: list[str], folder: Path, edge: frozenset[bytes]) -> Iterator[Commit]:
    with (
        TemporaryFile() as errors,  # a pipe that nobody reads would fill up and stop git
        subprocess.Popen(  # noqa: S603 - an absolute program, no shell, and options that we wrote
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        try:
            last: Commit | None = None
            for commit in _parsed(_tokens(cast("IO[bytes]", process.stdout)), edge):
                if last is not None:
                    yield last
                last = commit
            if process.wait() != 0:  # the last commit may be half a commit
                errors.seek(0)
                raise _failure(folder, errors.read().decode("utf-8", "replace"))
            if last is not None:
                yield last
        finally:
            process.kill()


def _tokens(stream: IO[bytes]) -> Iterator[bytes]:
    """Split a stream at its NULs."""
    pending: list[bytes] = []
    while chunk := stream.read(1 << 16):
        first, *rest = chunk.split(b"\0")
        pending.append(first)
        for token in rest:
            yield b"".join(pending)
            pending = [token]


def _parsed(tokens: Iterator[bytes], edge: frozenset[bytes]) -> Iterator[Commit]:
    """Group tokens: an empty one, the fields, an empty one, then one or three for every file, and again."""
    marker = next(tokens, None)
    while marker is not None:
        fields = list(islice(tokens, len(_FIELDS)))
        if next(tokens, None) is None:  # git stopped here, and its exit code tells
            return
        paths: list[bytes] = []
        n_files = insertions = deletions = 0
        while marker := next(tokens, None):
            added, removed, name = marker.split(b"\t", 2)
            if not name:  # a rename: the old name, then the new one
                name = (b"", *islice(tokens, 2))[-1]
            if n_files < _MAX_FILES:
                paths.append(name)
            n_files += 1
            insertions += int(added) if added.strip() != b"-" else 0
            deletions += int(removed) if removed != b"-" else 0
        if is_cut_off := fields[0] in edge:
            paths, n_files, insertions, deletions = [], 0, 0, 0
        texts, is_damaged = _decoded([*fields, *paths])
        sha, parents, author, email, authored, committed, subject, body, *files = texts
        yield Commit(
            sha=sha,
            parents=tuple(parents.split()),
            author=author,
            email=email,
            authored=authored,
            committed=committed,
            subject=subject,
            body=body.strip(),
            files=tuple(files),
            n_files=n_files,
            insertions=insertions,
            deletions=deletions,
            is_damaged=is_damaged,
            is_cut_off=is_cut_off,
        )


def _decoded(raw: list[bytes]) -> tuple[list[str], bool]:
    """Return the texts, and whether some bytes were not UTF-8."""
    try:
        return [data.decode() for data in raw], False
    except UnicodeDecodeError:
        return [data.decode("utf-8", "replace") for data in raw], True

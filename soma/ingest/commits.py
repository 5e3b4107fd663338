"""Commits as episodes: what is kept of them, when they happened, and how much they matter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from soma.errors import InvalidParameterError
from soma.ingest.episode import Episode
from soma.ingest.git import Commit, read_history
from soma.state.instant import LATEST_S, to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

    from soma.state.instant import Instant

__all__ = ["commits_as_memories"]

_COMMITS = UUID("5b0c9a1e-6f0d-5c57-9d52-3c8f3f1f7a60")
_MAX_BODY, _MAX_STRING = 16_384, 1_024  # characters
_TEXT_FILES, _TEXT_LINES, _TEXT_LINE = 12, 8, 200

# each of these reads a hostile message in linear time
_MAIL = re.compile(r" ?<[^<>\s@]*@[^<>\s]*>")
_KIND = re.compile(r"([a-z]{2,16})(?:\([^()]*\))?!?: ")
_TRAILER = re.compile(r"[A-Za-z][A-Za-z-]{0,40}-(?:by|id): ", re.IGNORECASE)


def commits_as_memories(
    path: str | PathLike[str],
    *,
    limit: int | None = None,
    latest_s: Instant | None = None,
    with_email: bool = False,
) -> Iterator[Episode]:
    """Yield the commits that lead to ``HEAD`` as episodes, oldest first.

    Parameters
    ----------
    path : path
        A repository, a folder inside one (its whole history is read), a bare repository or a worktree.
    limit : int, optional
        Only the last so many commits, >= 0.
    latest_s : float, aware datetime or str, optional
        The latest time that is believed, usually the present, from 1970 on; the end of the year 9999 if left
        out.
    with_email : bool
        Whether to keep e-mail addresses: the author's, and those in angle brackets in messages.

    Yields
    ------
    Episode
        As below; every payload is JSON of at most a few hundred kilobytes.

    Raises
    ------
    InvalidParameterError
        For a limit outside its domain.
    ConfigurationError
        If git is not installed, ``path`` is no folder of a repository or has no commit, or git fails.

    Notes
    -----
    * ``id`` depends on the commit's hash alone: reading twice, or reading two clones, gives the same ids.
    * ``text`` is the subject, the first lines of the body without trailers, and the first files.
    * ``timestamp`` is the author's time; the committer's where the author's cannot be read or lies after
      ``latest_s``; else ``latest_s``, or 0 where git can read neither. git reads no time before 1970.
    * ``importance`` is an int from 0 to 10: half the count of binary digits of (changed lines + 1), at most
      7; plus 1 from 10 files, 2 from 100; plus 1 for a body that says why; plus 1 for a merge.
    * ``tags`` are ``git``, ``merge``, and the kind that a subject such as ``fix(parser): ...`` starts with.
    * ``payload`` holds ``commit``, ``author``, ``subject``, ``body``, ``files`` (at most 50), ``n_files``,
      ``insertions`` and ``deletions``; ``email`` if asked for; ``authored``, as recorded, where ``timestamp``
      is another time; ``damaged: true`` where bytes were not UTF-8 and became U+FFFD; ``cut: true`` where a
      body had more than 16,384 characters, or another string more than 1,024; ``cut_off: true`` where a
      shallow clone ends, so that git does not know what the commit changed.

    Laws: ``property_tests/cli/test_ingest_git.py``.

    Examples
    --------
    >>> commits_as_memories("/no/such/folder")
    Traceback (most recent call last):
    soma.errors.ConfigurationError: /no/such/folder does not exist: give the folder of a git repository
    """
    latest = LATEST_S if latest_s is None else to_seconds("latest_s", latest_s)
    if latest < 0:
        raise InvalidParameterError("latest_s", latest_s, "must not lie before 1970")
    history = read_history(path, limit=limit)
    return (_episode(commit, float(latest), with_email) for commit in history)


def _episode(commit: Commit, latest_s: float, with_email: bool) -> Episode:
    author, subject, body = commit.author, commit.subject, commit.body
    if not with_email:
        author, subject, body = author.partition("@")[0], _MAIL.sub("", subject), _MAIL.sub("", body)
    timestamp = _timestamp(commit, latest_s)
    strings = {"commit": commit.sha, "author": author, "subject": subject}
    if with_email:
        strings["email"] = commit.email
    if commit.authored != f"{timestamp:.0f}":
        strings["authored"] = commit.authored
    payload: dict[str, Any] = {key: string[:_MAX_STRING] for key, string in strings.items()}
    payload |= {
        "body": body[:_MAX_BODY],
        "files": [name[:_MAX_STRING] for name in commit.files],
        "n_files": commit.n_files,
        "insertions": commit.insertions,
        "deletions": commit.deletions,
    }
    if len(body) > _MAX_BODY or any(len(s) > _MAX_STRING for s in (*strings.values(), *commit.files)):
        payload["cut"] = True
    if commit.is_damaged:
        payload["damaged"] = True
    if commit.is_cut_off:
        payload["cut_off"] = True
    return Episode(
        id=uuid5(_COMMITS, commit.sha),
        text=_text(payload),
        timestamp=timestamp,
        importance=_importance(commit),
        payload=payload,
        tags=_tags(commit),
    )


def _timestamp(commit: Commit, latest_s: float) -> float:
    # 20 digits are later than any limit, and int() refuses thousands
    recorded = [int(text[:20]) for text in (commit.authored, commit.committed) if text.isdecimal()]
    believable = (seconds for seconds in recorded if seconds <= latest_s)
    return float(next(believable, latest_s if recorded else 0))


def _importance(commit: Commit) -> int:
    size = min((1 + commit.insertions + commit.deletions).bit_length() // 2, 7)
    breadth = (commit.n_files >= 10) + (commit.n_files >= 100)
    return min(size + breadth + bool(commit.body) + (len(commit.parents) > 1), 10)


def _tags(commit: Commit) -> tuple[str, ...]:
    tags = {"git"}
    if len(commit.parents) > 1:
        tags.add("merge")
    if kind := _KIND.match(commit.subject):
        tags.add(kind[1])
    return tuple(sorted(tags))


def _text(payload: Mapping[str, Any]) -> str:
    body = (line.strip() for line in payload["body"].splitlines())
    told = [line[:_TEXT_LINE] for line in body if line and not _TRAILER.match(line)]
    lines = [payload["subject"].strip() or f"commit {payload['commit'][:12]}", *told[:_TEXT_LINES]]
    if payload["files"]:
        more = payload["n_files"] - _TEXT_FILES
        names = ", ".join(payload["files"][:_TEXT_FILES])
        lines.append(f"Files: {names}" + (f" and {more} more" if more > 0 else ""))
    return "\n".join(lines)

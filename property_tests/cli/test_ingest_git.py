"""Laws of reading git: what was committed comes back, nothing is run or written, and nothing crashes it."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from property_tests.cli.repositories import GIT, LATEST_S, Written, commit, git, import_history, repository_at
from soma import canonical_json
from soma.errors import ConfigurationError
from soma.ingest import Episode, commits_as_memories, read_history
from soma.state.record import MemoryRecord

visible = st.characters(exclude_categories=("Cs", "Cc", "Cf", "Z"), exclude_characters="<>")
words = st.text(visible, min_size=1, max_size=8)
line = st.lists(words, min_size=1, max_size=4).map(" ".join)
# no name is a folder of another, and git refuses the name of its own folder
file_names = st.text(visible.filter(lambda c: c != "/") | st.sampled_from("\t\n \"\\'"), min_size=1, max_size=8)
safe_names = file_names.map(lambda name: f"d/_{name}")
contents = st.integers(0, 40).map(lambda n: b"line\n" * n)
histories = st.lists(
    st.tuples(
        line,
        st.lists(line, max_size=3),
        line,
        st.integers(0, 2**62),
        st.dictionaries(safe_names, contents, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


@given(histories)
def test_every_commit_comes_back_as_it_was_written(
    scratch: Path, history: list[tuple[str, list[str], str, int, dict[str, bytes]]]
) -> None:
    import_history(
        scratch,
        [
            Written(
                "\n\n".join([subject, *body]).encode(),
                author.encode(),
                seconds,
                # a new folder for each commit, so that every file is new
                {f"{i}/{name}".encode(): b"%d\n" % i + content for name, content in files.items()},
            )
            for i, (subject, body, author, seconds, files) in enumerate(history)
        ],
    )
    read = list(read_history(scratch))
    assert [c.subject for c in read] == [subject for subject, *_ in history]
    assert [c.body for c in read] == ["\n\n".join(body) for _, body, *_ in history]
    assert [c.author for c in read] == [author for _, _, author, *_ in history]
    assert [int(c.authored) for c in read] == [seconds for *_, seconds, _ in history]
    for i, (c, (*_, files)) in enumerate(zip(read, history, strict=True)):
        assert set(c.files) == {f"{i}/{name}" for name in files}
        assert c.n_files == len(files)
        assert c.insertions == sum(content.count(b"\n") + 1 for content in files.values())
        assert not c.is_damaged
    assert [c.parents for c in read] == [(), *((c.sha,) for c in read[:-1])]


raw = st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"\xff"))
raw_names = raw.map(lambda b: b"_" + b.replace(b"/", b"_"))


@given(
    st.lists(
        st.builds(
            Written,
            raw,
            raw.map(lambda b: b.translate(None, b"<>\n")),
            st.integers(0, 2**62),
            st.dictionaries(raw_names, contents, max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_bytes_crash_it_and_every_episode_is_a_valid_memory(scratch: Path, history: list[Written]) -> None:
    for i, written in enumerate(history):  # a new folder for each commit, so that every file is listed
        written.files = {b"%d/%s" % (i, name): content for name, content in written.files.items()}
    import_history(scratch, history)
    for with_email in (False, True):
        for episode, written in zip(commits_as_memories(scratch, with_email=with_email), history, strict=True):
            check_episode(episode)
            is_utf8 = all(map(decodes, (written.message, written.author, *written.files)))
            assert episode.payload.get("damaged", False) is not is_utf8


def decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_episode(episode: Episode) -> None:
    canonical_json.dumps(dict(episode.payload))
    assert 0 <= episode.timestamp <= LATEST_S
    assert 0 <= episode.importance <= 10
    assert episode.text.strip()
    assert episode.tags == tuple(sorted(set(episode.tags)))
    record = MemoryRecord(
        id=episode.id,
        coordinate=(0.0,),
        timestamp=episode.timestamp,
        importance=episode.importance,
        payload=episode.payload,
        text=episode.text,
        tags=episode.tags,
    )
    assert record.tags == episode.tags


@pytest.mark.parametrize(
    ("author", "committer", "expected"),
    [
        ("A <a@b> 5 +0000", "A <a@b> 7 +0000", 5),
        ("A <a@b> 0 +0000", "A <a@b> 7 +0000", 0),
        ("A <a@b> -100 +0000", "A <a@b> 7 +0000", 7),
        ("A <a@b> abc", "A <a@b> 7 +9999", 7),
        ("A", "", 0),
        ("", "A <a@b> 99999999999999999999999 +0000", 1_000),
        (f"A <a@b> {'9' * 5_000} +0000", f"A <a@b> {'9' * 5_000} +0000", 1_000),
        ("A <a@b> 1001 +0000", "A <a@b> 999 +0000", 999),
        ("A <a@b> 1001 +0000", "A <a@b> 1002 +0000", 1_000),
        ("A <a@b> 9223372036854775808 -2500", "A <a@b> 18446744073709551616 +0000", 1_000),
    ],
)
def test_absurd_dates_are_corrected_by_rule(tmp_path: Path, author: str, committer: str, expected: int) -> None:
    folder = repository_at(tmp_path)
    tree = git(folder, "write-tree")
    content = f"tree {tree}\nauthor {author}\ncommitter {committer}\n\nodd\n".encode()
    sha = git(folder, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=content)
    git(folder, "update-ref", "HEAD", sha)
    (episode,) = commits_as_memories(folder, latest_s=1_000)
    assert episode.timestamp == expected
    (recorded,) = read_history(folder)
    assert episode.payload.get("authored", f"{expected}") == recorded.authored[:1_024]
    check_episode(episode)


def test_reading_twice_or_a_clone_gives_equal_episodes(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", os.fspath(repository), "clone")
    once, again = list(commits_as_memories(repository)), list(commits_as_memories(repository))
    assert once == again == list(commits_as_memories(tmp_path / "clone"))
    assert len({episode.id for episode in once}) == len(once) == 5


def test_ids_outlive_the_growth_and_the_cutting_of_history(repository: Path, tmp_path: Path) -> None:
    before = {e.payload["commit"]: e.id for e in commits_as_memories(repository)}
    git(tmp_path, "clone", "-q", "--depth", "2", f"file://{repository}", "shallow")
    for episode in commits_as_memories(tmp_path / "shallow"):
        assert before[episode.payload["commit"]] == episode.id
    other = repository_at(tmp_path / "other")
    commit(other, "another root", other="o\n")
    git(repository, "fetch", "-q", os.fspath(other), "main")
    git(repository, "merge", "-q", "--allow-unrelated-histories", "-m", "two roots", "FETCH_HEAD")
    after = {e.payload["commit"]: e.id for e in commits_as_memories(repository)}
    assert before.items() <= after.items()


def test_the_edge_of_a_shallow_clone_claims_no_changes(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    git(tmp_path / "shallow", "worktree", "add", "-q", "--detach", "../linked")
    commit(tmp_path / "shallow", "later", later="1\n")
    edge, later = commits_as_memories(tmp_path / "shallow")
    assert (edge.payload["cut_off"], edge.payload["n_files"], edge.payload["insertions"]) == (True, 0, 0)
    assert (edge.importance, edge.text) == (0, "deep")
    assert "cut_off" not in later.payload
    assert later.payload["files"] == ["later"]
    assert [e.payload["cut_off"] for e in commits_as_memories(tmp_path / "linked")] == [True]


def test_ids_are_the_ones_of_the_first_release(repository: Path) -> None:
    first = next(commits_as_memories(repository))
    assert (first.payload["commit"], str(first.id)) == (
        "0c73281a298b33bae721d2d61fd5eb371cdd0ca5",
        "57c46d1b-fadb-5bb2-8337-8f06ee7dbdf9",
    )


def test_a_repository_of_long_hashes_is_read(tmp_path: Path) -> None:
    commit(repository_at(tmp_path, "sha256"), "one", a="1\n")
    (episode,) = commits_as_memories(tmp_path)
    assert (len(episode.payload["commit"]), episode.payload["files"]) == (64, ["a"])


def test_merges_renames_and_binary_files_are_told_apart(repository: Path) -> None:
    by_subject = {c.subject: c for c in read_history(repository)}
    rename, merge, deep = by_subject["fix: rename"], by_subject["merge side"], by_subject["deep"]
    assert (rename.files, rename.n_files, rename.insertions, rename.deletions) == (("a.png", "b"), 2, 0, 0)
    assert (len(merge.parents), merge.files, merge.n_files) == (2, (), 0)
    assert (deep.files, deep.insertions, deep.deletions) == (("sub/folder/file",), 1, 0)
    tags = {e.payload["subject"]: e.tags for e in commits_as_memories(repository)}
    assert tags["merge side"] == ("git", "merge")
    assert tags["fix: rename"] == ("fix", "git")
    assert tags["feat(clock): first"] == ("feat", "git")
    assert tags["deep"] == ("git",)


def test_the_text_tells_subject_body_and_files_without_trailers(repository: Path) -> None:
    first = next(commits_as_memories(repository))
    assert first.text == "feat(clock): first\nBecause time passes.\nFiles: a"


def test_addresses_are_kept_only_if_asked_for(repository: Path) -> None:
    git(
        repository,
        "-c",
        "user.name=x",
        "commit",
        "-q",
        "--allow-empty",
        "--author",
        "bob@home.net <bob@home.net>",
        "-m",
        "x <c@d.e>\n\ny <f@g.h>.",
    )
    private = list(commits_as_memories(repository))
    assert not [e for e in private if "@" in e.text or "@" in canonical_json.dumps(dict(e.payload)).decode()]
    assert private[-1].payload["author"] == "bob"
    assert (private[-1].payload["subject"], private[-1].payload["body"]) == ("x", "y.")
    open_ = list(commits_as_memories(repository, with_email=True))
    assert open_[-1].payload["email"] == "bob@home.net"
    assert "<ada@example.org>" in open_[0].payload["body"]
    assert [e.id for e in open_] == [e.id for e in private]


@settings(max_examples=15)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=8))
def test_importance_never_falls_with_the_size_of_a_change(scratch: Path, sizes: list[int]) -> None:
    sizes.sort()
    import_history(scratch, [Written(b"s", files={b"f%d" % i: b"%d\n" % i * n}) for i, n in enumerate(sizes)])
    importances = [episode.importance for episode in commits_as_memories(scratch)]
    assert importances == sorted(importances)
    assert importances == [min((n + 1).bit_length() // 2, 7) for n in sizes]


def test_importance_counts_breadth_reasons_and_merges(scratch: Path, repository: Path) -> None:
    def many(n: int, message: bytes = b"s") -> Written:
        return Written(message, files={b"%s/%d" % (message, i): b"" for i in range(n)})

    import_history(scratch, [many(9, b"a"), many(10, b"b"), many(99, b"c"), many(100, b"d"), Written(b"s\n\nwhy")])
    assert [episode.importance for episode in commits_as_memories(scratch)] == [0, 1, 1, 2, 1]
    by_subject = {e.payload["subject"]: e.importance for e in commits_as_memories(repository)}
    assert by_subject["merge side"] == 1
    widest = Written(b"s\n\nwhy", files={b"%d" % i: b"line %d\n" % i * 300 for i in range(100)})
    import_history(scratch, [widest])
    assert [episode.importance for episode in commits_as_memories(scratch)] == [10]


def test_what_was_removed_counts_as_much_as_what_was_added(tmp_path: Path) -> None:
    folder = repository_at(tmp_path)
    commit(folder, "add", a="line\n" * 500, b="b")
    (folder / "a").unlink()
    commit(folder, "remove")
    added, removed = commits_as_memories(folder)
    assert (removed.payload["insertions"], removed.payload["deletions"]) == (0, 500)
    assert added.importance == removed.importance == 4


def test_the_text_is_an_extract(scratch: Path) -> None:
    body = b"\n".join(b"%d" % i + b"x" * 500 for i in range(30))
    import_history(scratch, [Written(b"s\n\n" + body)])
    (episode,) = commits_as_memories(scratch)
    assert [len(part) for part in episode.text.split("\n")] == [1, *[200] * 8]
    assert "cut" not in episode.payload


def test_long_things_are_cut_and_say_so(scratch: Path) -> None:
    files = {b"%04d" % i + b"n" * 1_100: b"" for i in range(60)}
    import_history(scratch, [Written(b"s" * 9_000 + b"\n\n" + b"b" * 20_000, b"a" * 2_000, files=files), Written(b"s")])
    long, short = commits_as_memories(scratch)
    assert long.payload["cut"] is True
    assert len(long.payload["body"]) == 16_384
    assert {len(long.payload[key]) for key in ("subject", "author")} == {1_024}
    assert (len(long.payload["files"]), long.payload["n_files"]) == (50, 60)
    assert long.text.endswith(" and 48 more")
    assert {len(name) for name in long.payload["files"]} == {1_024}
    assert "cut" not in short.payload
    one_of_each = [Written(b"s", b"a" * 1_025), Written(b"s" * 1_025), Written(b"s\n\n" + b"b" * 16_385)]
    import_history(scratch, [*one_of_each, Written(b"s", files={b"f" * 1_025: b""})])
    assert all(episode.payload["cut"] for episode in commits_as_memories(scratch))
    check_episode(long)


def test_hostile_messages_are_read_in_linear_time(scratch: Path) -> None:
    n = 200_000
    hostile = [
        b"<" + b"@" * n,
        b"<@" * n,
        b" " * n + b"x",
        b"a-" * n,
        b"a" * n + b"(" * n,
        b"<a" * n,
        b"\n" * n + b"x",
    ]
    import_history(scratch, [Written(b"s: " + h + b"\n\n" + h) for h in hostile])
    for episode in commits_as_memories(scratch):
        check_episode(episode)


@pytest.mark.parametrize("where", ["sub/folder", ".git", "../bare", "../worktree", "../odd \n-name", "sub/../."])
def test_any_way_into_a_repository_reads_its_whole_history(repository: Path, where: str) -> None:
    expected = list(read_history(repository))
    parent = repository.parent
    git(parent, "clone", "-q", "--bare", "repository", "bare")
    git(repository, "worktree", "add", "-q", "--detach", "../worktree")
    git(parent, "clone", "-q", "repository", "odd \n-name")
    git(repository, "config", "diff.relative", "true")
    assert list(read_history(repository / where)) == expected


def test_a_relative_path_and_one_that_is_not_utf8_are_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(read_history(repository))
    odd = repository.rename(repository.with_name(os.fsdecode(b"-\xff")))
    monkeypatch.chdir(odd.parent)
    assert list(read_history(odd.name)) == list(read_history(odd)) == expected


def test_limit_keeps_the_last_commits_oldest_first(repository: Path) -> None:
    everything = list(read_history(repository))
    assert everything[0].parents == ()
    for limit in range(7):
        kept = list(read_history(repository, limit=limit))
        assert kept == everything[max(5 - limit, 0) :]


def test_the_environment_cannot_divert_it(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(read_history(repository))
    other = repository_at(tmp_path / "other")
    commit(other, "other")
    monkeypatch.setenv("GIT_DIR", os.fspath(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", os.fspath(other))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", os.fspath(other / ".git" / "objects"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.bare")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "nonsense")
    monkeypatch.setenv("GIT_TRACE", os.fspath(tmp_path / "trace"))
    monkeypatch.setenv("GIT_DEFAULT_HASH", "nonsense")
    assert list(read_history(repository)) == expected
    assert not (tmp_path / "trace").exists()


def test_the_users_settings_change_nothing(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(repository, "naïve café")
    expected = list(read_history(repository))
    (repository / ".mailmap").write_text("Eve <eve@example.org> <ada@example.org>\n")
    (tmp_path / "config").write_text(
        "[color]\nui = always\n[log]\nshowRoot = false\nmailmap = true\ndate = relative\ndecorate = full\n"
        "[diff]\nrenames = false\nalgorithm = histogram\nnoprefix = true\n[format]\npretty = oneline\n"
        "[i18n]\nlogOutputEncoding = latin1\n[core]\nquotePath = true\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.fspath(tmp_path / "config"))
    assert list(read_history(repository)) == expected


def test_nothing_in_the_repository_is_run_or_written(repository: Path, tmp_path: Path) -> None:
    plain = git(repository, "cat-file", "commit", "HEAD")
    head, _, message = plain.partition("\n\n")
    signed = f"{head}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n{message}"
    sha = git(repository, "hash-object", "-t", "commit", "-w", "--stdin", stdin=signed.encode())
    git(repository, "update-ref", "HEAD", sha)
    expected = list(read_history(repository))
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{tmp_path}/was-run'\ncat\n")
    program.chmod(0o755)
    (repository / ".git" / "info" / "attributes").write_text("* diff=odd\n")
    programs = ["gpg.program", "core.pager", "diff.external", "diff.odd.command", "diff.odd.textconv"]
    for key in (*programs, "core.fsmonitor"):
        git(repository, "config", key, os.fspath(program))
    git(repository, "config", "log.showSignature", "true")
    before = snapshot(repository)
    assert list(read_history(repository)) == expected
    assert snapshot(repository) == before
    assert not (tmp_path / "was-run").exists()


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {os.fspath(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}


def test_a_replaced_commit_is_read_as_its_hash_says(repository: Path) -> None:
    expected = list(read_history(repository))
    git(repository, "replace", expected[-1].sha, expected[0].sha)
    assert list(read_history(repository)) == expected


def test_a_declared_encoding_is_converted(repository: Path) -> None:
    git(
        repository,
        "-c",
        "i18n.commitEncoding=latin1",
        "commit",
        "-q",
        "--allow-empty",
        "-F",
        "-",
        stdin="caf\xe9".encode("latin1"),
    )
    last = list(read_history(repository))[-1]
    assert (last.subject, last.is_damaged) == ("caf\xe9", False)


def a_git_that(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program before git that does something around the real one, ``$GIT``."""
    wrapper = folder / "git"
    wrapper.write_text(f"#!/bin/sh\nGIT='{GIT}'\n{script}\n")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(folder), prepend=os.pathsep)


def test_closing_the_iterator_ends_git(scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_history(scratch, [Written(b"s" * 2_000) for _ in range(500)])  # more than is read at once
    a_git_that(
        tmp_path,
        monkeypatch,
        f'echo $$ > "{tmp_path}/pid"; "$GIT" "$@"; case "$*" in *numstat*) exec sleep 1000;; esac',
    )
    history = read_history(scratch)
    next(history)
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 0)
    history.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_repository_of_another_user_is_told_from_others(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_git_that(tmp_path, monkeypatch, 'GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "$GIT" "$@"')
    with pytest.raises(ConfigurationError, match=f"another user: .* safe.directory {repository}`"):
        read_history(repository)


def test_memory_does_not_grow_with_the_length_of_history(scratch: Path) -> None:
    def peak(n: int) -> int:
        import_history(scratch, [Written(b"s" * 2_000, files={b"f": b"%d" % i}) for i in range(n)])
        tracemalloc.start()
        assert sum(1 for _ in commits_as_memories(scratch)) == n
        peaked = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peaked

    peak(10)
    assert peak(2_000) < 1.5 * peak(200)

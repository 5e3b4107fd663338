"""A namespace goes to a file and comes back: the same log, the same state, the same bytes; a damaged file is named."""

from __future__ import annotations

import itertools
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import soma
from soma import Memory, Namespace, canonical_json, fold, state_hash
from soma.archive import Archive, read_archive
from soma.errors import SerializationError, SomaError, StoreError
from soma.state.events import Event, NamespaceRegistered
from soma.testing.strategies import DIMENSION, events

LAB = NamespaceRegistered(event_id=UUID(int=76_000), at_s=0, registration=Namespace("lab", dimension=DIMENSION))
NOW = 3e9


def logs() -> st.SearchStrategy[list[Event]]:
    """Draw a log of one namespace, long enough that its events meet."""
    drawn = st.lists(events(namespace="lab"), min_size=4, max_size=16, unique_by=lambda event: event.event_id)
    return drawn.map(lambda found: [LAB, *found])


def effective(log: list[Event]) -> tuple[Event, ...]:
    """Leave out what a store refuses."""
    state, kept = soma.MinimalSoma(), []
    for event in log:
        try:
            state, effect = soma.apply(state, event)
        except SomaError:
            continue
        if effect.is_change:
            kept.append(event)
    return tuple(kept)


def opened(path: Path) -> Memory:
    ticks = itertools.count()
    return soma.open(path, namespace="lab", clock=lambda: NOW + next(ticks), dimension=DIMENSION)


@settings(max_examples=25)
@given(logs(), st.integers(1, 7))
def test_a_log_comes_back_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, log: list[Event], batch: int) -> None:
    archive = Archive("lab", effective(log))
    content = archive.to_bytes()
    assert read_archive(content) == archive
    seen: list[tuple[int, int]] = []
    with opened(tmp_path_factory.mktemp("archive")) as memory:
        n_new = memory.restore_archive(
            read_archive(content), batch=batch, progress=lambda done, n_all: seen.append((done, n_all))
        )
        assert n_new == len(archive.events)
        assert memory.archive().to_bytes() == content
        assert state_hash(fold(memory.events())) == state_hash(fold(archive.events))
        assert tuple(memory) == fold(archive.events).all("lab")
        assert seen[-1] == (n_new, n_new)
        assert len(seen) == -(-n_new // batch)
        assert memory.restore_archive(archive) == 0


@settings(max_examples=20)
@given(logs(), st.data())
def test_an_import_that_was_broken_off_goes_on(
    tmp_path_factory: pytest.TempPathFactory, log: list[Event], data: st.DataObject
) -> None:
    archive = Archive("lab", effective(log))
    stop = data.draw(st.integers(1, len(archive.events)))

    def interrupt(done: int, _: int) -> None:
        if done >= stop:
            raise KeyboardInterrupt

    with opened(tmp_path_factory.mktemp("archive")) as memory:
        with pytest.raises(KeyboardInterrupt):
            memory.restore_archive(archive, batch=1, progress=interrupt)
        assert list(memory.events()) == list(archive.events[:stop])
        assert memory.restore_archive(archive) == len(archive.events) - stop
        assert memory.archive() == archive


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    made = opened(tmp_path / "store")
    made.remember("the clock is slow")
    made.forget(made.remember("lunch was late").id)
    made.recall("clock", reinforce=True)
    return made


def test_a_store_that_used_its_namespace_moves_whole(memory: Memory, tmp_path: Path) -> None:
    content = memory.archive().to_bytes()
    with opened(tmp_path / "elsewhere") as moved:
        moved.restore_archive(read_archive(content))
        assert moved.archive().to_bytes() == content
        hits = [(hit.record, hit.score) for hit in moved.recall("clock", now=NOW + 100)]
        assert hits == [(hit.record, hit.score) for hit in memory.recall("clock", now=NOW + 100)]
        moved.remember("it goes on")
        assert moved.archive().events[: len(memory.archive().events)] == memory.archive().events


@given(st.data())
def test_no_damage_goes_unseen(data: st.DataObject) -> None:
    """Any one byte changed, any cut and any line twice: an error that is soma's, or the file is whole."""
    content = CONTENT
    kind = data.draw(st.sampled_from(["byte", "cut", "line twice", "line away"]))
    place = data.draw(st.integers(0, len(content) - 1))
    lines = content.splitlines(keepends=True)
    if kind == "byte":
        damaged = content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    elif kind == "cut":
        damaged = content[:place]
    else:
        number = data.draw(st.integers(0, len(lines) - 1))
        damaged = b"".join(
            lines[:number] + lines[number : number + 1] * 2 * (kind == "line twice") + lines[number + 1 :]
        )
    with pytest.raises(SerializationError):
        read_archive(damaged)


def _content() -> bytes:
    ticks = itertools.count()
    with soma.create_memory("TEST", settings=soma.Settings(namespace="lab")) as memory:
        for text in ("the clock is slow", "lunch was late"):
            memory.remember(f"{text} {next(ticks)}")
        return memory.archive().to_bytes()


CONTENT = _content()


def resealed(lines: list[bytes]) -> bytes:
    """Return an archive of these lines whose head agrees with them."""
    import hashlib

    body = b"".join(line + b"\n" for line in lines)
    head = {"format": "soma-archive-1", "namespace": "lab", "n_events": len(lines)}
    return canonical_json.dumps({**head, "sha256": hashlib.sha256(body).hexdigest()}) + b"\n" + body


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda lines: [lines[0], b"{}", *lines[1:]], "line 3"),
        (lambda lines: [lines[0], lines[1].replace(b'"lab"', b'"other"')], "line 3 is of namespace other"),
        (lambda lines: lines[1:], "line 2 must register the namespace"),
        (lambda _: [], "line 2 must register the namespace"),
    ],
)
def test_what_is_no_log_is_named_by_its_line(damage: object, sentence: str) -> None:
    lines = CONTENT.splitlines()[1:]
    assert read_archive(resealed(lines)).to_bytes() == CONTENT
    with pytest.raises(SerializationError, match=sentence):
        read_archive(resealed(damage(lines)))  # type: ignore[operator]


def test_a_namespace_that_holds_something_else_is_left_alone(memory: Memory, tmp_path: Path) -> None:
    archive = memory.archive()
    with opened(tmp_path / "elsewhere") as other:
        other.remember("something else")
        before = other.archive()
        with pytest.raises(StoreError, match="holds other events than the archive"):
            other.restore_archive(archive)
        assert other.archive() == before
    with (
        soma.open(tmp_path / "third", namespace="third") as third,
        pytest.raises(StoreError, match="open that one, not third"),
    ):
        third.restore_archive(archive)


def test_an_event_that_has_no_effect_is_refused_and_its_batch_with_it(memory: Memory, tmp_path: Path) -> None:
    events_ = memory.archive().events
    lone = Archive("lab", (*events_[:2], events_[-1], events_[-1]))
    with opened(tmp_path / "elsewhere") as other:
        with pytest.raises(StoreError, match="stands in the log already"):
            other.restore_archive(lone)
        assert len(list(other.events())) == 0


def test_nothing_cannot_be_archived(tmp_path: Path) -> None:
    with opened(tmp_path / "empty") as empty, pytest.raises(StoreError, match="holds nothing"):
        empty.archive()

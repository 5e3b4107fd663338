"""The past of a store is the fold of its log, at an instant and at a place; what is restored is what there was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import soma
from soma import DAY, Memory, Position, fold, state_hash
from soma.cli import main
from soma.errors import InvalidParameterError, NotFoundError

NOW = 1_772_323_200.0


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    ticks = iter(range(10_000))
    return soma.open(tmp_path / "store", clock=lambda: NOW + next(ticks))


def test_every_place_in_the_log_is_the_fold_of_what_stood_before_it(memory: Memory) -> None:
    first = memory.remember("the clock is slow")
    memory.recall("clock", reinforce=True)
    memory.remember("the clock is fast", id=first.id)
    memory.forget(first.id)
    events = list(memory.events())
    assert memory.head() == Position(len(events))
    for place in range(1, len(events) + 1):
        assert state_hash(memory.as_of(Position(place))) == state_hash(fold(events[:place]))
    with pytest.raises(InvalidParameterError, match="must be at most 5, the head of the log"):
        memory.as_of(Position(6))


def test_what_was_written_late_about_the_past_is_told_apart(memory: Memory) -> None:
    """World time and log position are two questions."""
    memory.remember("the first")
    before = memory.head()
    old = memory.remember("of long ago", timestamp=NOW - 900 * DAY)
    memory.store_many([old], is_history=True)
    assert "of long ago" not in [hit.record.text for hit in memory.recall("long ago", as_of=before)]
    assert "of long ago" in [hit.record.text for hit in memory.recall("long ago", as_of=memory.head())]


def test_a_place_in_the_log_counts_ages_to_its_own_time(memory: Memory) -> None:
    memory.remember("the clock is slow")
    place = memory.head()
    memory.remember("something else")
    policy = soma.policy.decay(soma.decay.Exponential(half_life_s=DAY))
    then = memory.recall("clock", as_of=place, policy=policy)
    assert then.now_s == max(event.at_s for event in list(memory.events())[: place.value])
    later = memory.recall("clock", as_of=place, now=then.now_s + DAY, policy=policy)
    assert later[0].score == pytest.approx(then[0].score / 2)
    with pytest.raises(InvalidParameterError, match="must stand without now and state"):
        memory.recall("clock", as_of=NOW, now=NOW)


def test_what_was_forgotten_comes_back_as_it_was(memory: Memory) -> None:
    record = memory.remember("the clock is slow", importance=9, tags=["ci"])
    memory.recall("clock", reinforce=True)
    before = memory.retrieve(record.id)
    memory.forget(record.id)
    assert memory.restore(record.id) == record
    after = memory.retrieve(record.id)
    assert (after.record, after.trace, after.n_recalls) == (before.record, before.trace, before.n_recalls)
    assert [hit.record for hit in memory.recall("clock")] == [record]
    assert [change.effect.kind.value for change in memory.history(record.id)] == [
        "created",
        "recalled",
        "deleted",
        "created",
    ]


def test_a_version_is_restored_by_number_by_time_and_by_place(memory: Memory) -> None:
    texts = ["one", "two", "three"]
    id = memory.remember(texts[0]).id
    for text in texts[1:]:
        memory.remember(text, id=id)
    written = memory.versions(id)
    assert [change.record and change.record.text for change in written] == texts
    assert memory.restore(id).text == "two"  # the one before the present
    assert memory.restore(id, version=written[0].version).text == "one"
    assert memory.restore(id, as_of=written[1].event.at_s).text == "two"
    assert memory.restore(id, as_of=Position(written[2].position)).text == "three"
    with pytest.raises(NotFoundError, match="soma versions lists those there are"):
        memory.restore(id, version=77)
    with pytest.raises(NotFoundError, match="never held it"):
        memory.restore("00000000-0000-4000-8000-000000000077")
    assert len(memory.versions(id)) == 7


def test_the_past_of_another_namespace_is_not_shown(tmp_path: Path) -> None:
    with soma.open(tmp_path, namespace="one") as one, soma.open(tmp_path, namespace="two") as two:
        record = one.remember("the clock of one")
        two.remember("the clock of two", id=record.id)
        for at in (4e9, two.head()):
            assert [memory.text for memory in two.as_of(at).all()] == ["the clock of two"]
            assert list(two.as_of(at).namespaces) == ["two"]
        assert [change.record and change.record.text for change in two.history(record.id)] == ["the clock of two"]
        two.forget(record.id)
        assert two.restore(record.id).text == "the clock of two"


def test_the_commands_tell_the_past_and_bring_it_back(tmp_path: Path) -> None:
    store = ["-p", str(tmp_path / "store")]

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, [*arguments, *store], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    id = run("remember", "the clock is slow").strip()
    run("recall", "clock", "--reinforce")
    run("forget", id)
    assert [change["effect"] for change in json.loads(run("versions", id, "--json"))] == ["created", "deleted"]
    told = json.loads(run("history", id, "--json"))
    assert [(change["position"], change["version"]) for change in told] == [(2, 1), (3, 2), (4, 3)]
    assert "v3   deleted   forgotten" in run("history", id)
    assert [hit["text"] for hit in json.loads(run("recall", "clock", "--as-of", "@2", "--json"))["hits"]] == [
        "the clock is slow"
    ]
    assert run("restore", id) == f"{id} is back, as version 4: the clock is slow\n"
    assert json.loads(run("restore", id, "--version", "1", "--json"))["version"] == 5
    for bad in (("recall", "clock", "--as-of", "@x"), ("versions", "00000000-0000-4000-8000-000000000077")):
        done = CliRunner().invoke(main, [*bad, *store])
        assert done.exit_code == 2, done.output

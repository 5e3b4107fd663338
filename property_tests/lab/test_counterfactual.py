"""Two policies asked the same: what enters, leaves, rises and falls; of one time, and of any state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import soma
from soma import policy as p
from soma.errors import InvalidParameterError
from soma.lab.counterfactual import contrast, contrasts
from soma.math.units import DAY

TEXTS = [f"{what} {where}" for what in ("clock", "menu", "train", "letter") for where in ("lost", "found", "late")]
T0 = 1_772_323_200.0
POLICIES = (p.default(), p.similarity(), p.importance(), -p.age_s(), p.rrf(p.similarity(), p.importance()))


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[soma.Memory]:
    """A dozen memories, a day apart, over a clock that moves with each look at it."""
    ticks = iter(range(10**6))
    with soma.open(tmp_path_factory.mktemp("store"), clock=lambda: T0 + 20 * DAY + next(ticks)) as memory:
        for day, text in enumerate(TEXTS):
            memory.remember(text, timestamp=T0 + day * DAY, importance=day % 11)
        yield memory


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.sampled_from(POLICIES),
    after=st.sampled_from(POLICIES),
    queries=st.lists(st.sampled_from(["clock", "late train", "a letter found"]), min_size=1, max_size=3),
    k=st.integers(1, 14),
    as_of=st.sampled_from([None, T0 + 20 * DAY + 10, soma.Position(8)]),
)
def test_moves_lead_from_one_answer_to_the_other(
    memory: soma.Memory,
    before: p.Policy,
    after: p.Policy,
    queries: list[str],
    k: int,
    as_of: float | soma.Position | None,
) -> None:
    found = contrasts(memory, before, after, queries, k=k, as_of=as_of)
    assert [str(each.before.query) for each in found] == queries
    assert len({each.before.now_s for each in found} | {each.after.now_s for each in found}) == 1
    for each in found:
        for side, answer in (("before", each.before), ("after", each.after)):
            ranks = {getattr(move, side): move.record.id for move in each.moves if getattr(move, side) is not None}
            assert [ranks[place] for place in sorted(ranks)] == [hit.record.id for hit in answer]
        verbs = [move.verb for move in each.moves]
        assert verbs.count("enters") == verbs.count("leaves")
        assert each.n_shared == len(each.before) - verbs.count("leaves")
        assert 0.0 <= each.agreement <= 1.0 + 1e-12
        if before == after:
            assert set(verbs) == {"stays"}
            assert each.agreement == pytest.approx(1.0)
        if as_of is None:
            again = memory.recall(each.before.query, k=k, policy=after, now=each.before.now_s)
        else:
            again = memory.recall(str(each.before.query), k=k, policy=after, as_of=as_of)
        assert [(hit.record.id, hit.score) for hit in again] == [(hit.record.id, hit.score) for hit in each.after]


def test_what_the_policies_say_decides_who_rises(memory: soma.Memory) -> None:
    (found,) = contrasts(memory, -p.age_s(), p.age_s(), ["clock"], k=12)
    assert [move.after for move in found.moves] == list(range(12))
    assert [move.before for move in found.moves] == list(reversed(range(12)))
    (found,) = contrasts(memory, -p.age_s(), p.age_s(), ["clock"], k=2)
    assert [(move.verb, move.before, move.after) for move in found.moves] == [
        ("enters", None, 0),
        ("enters", None, 1),
        ("leaves", 0, None),
        ("leaves", 1, None),
    ]
    assert found.agreement == 0.0


def test_answers_to_two_questions_are_no_contrast(memory: soma.Memory) -> None:
    one = memory.recall("clock", now=T0)
    for other in (memory.recall("menu", now=T0), memory.recall("clock", now=T0 + 1)):
        with pytest.raises(InvalidParameterError, match="same question at the same time"):
            contrast(one, other)


def test_a_time_beside_a_moment_is_refused_as_recall_refuses_it(memory: soma.Memory) -> None:
    with pytest.raises(InvalidParameterError, match="as_of must stand without now"):
        contrasts(memory, p.default(), p.importance(), ["clock"], now=T0, as_of=T0)

"""Laws of rank-biased overlap, and the values of its authors' definition by brute force."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.rank_agreement import rank_biased_overlap

RANKINGS = st.lists(st.integers(0, 12), unique=True, max_size=9)
PERSISTENCES = st.floats(0.05, 0.95)


def prefix_agreement(one: Sequence[Hashable], other: Sequence[Hashable], persistence: float) -> float:
    """Sum the definition over depths: what lies beyond a list agrees as its end does."""
    short, long = sorted((one, other), key=len)
    share, agreement = len({*short} & {*long[: len(short)]}) / len(short), []
    for d in range(1, len(long) + 1):
        unseen = max(0, d - len(short))
        agreement.append((len({*short[:d]} & {*long[:d]}) + share * unseen) / d)
    beyond = [agreement[-1]] * 3_000
    return sum((1 - persistence) * persistence**d * a for d, a in enumerate(agreement + beyond))


@given(RANKINGS.filter(len), RANKINGS.filter(len), PERSISTENCES)
def test_it_is_the_expected_agreement_at_the_depth_where_a_reader_stops(
    one: list[int], other: list[int], persistence: float
) -> None:
    found = rank_biased_overlap(one, other, persistence=persistence)
    assert found == pytest.approx(prefix_agreement(one, other, persistence), abs=1e-9)


@given(RANKINGS, RANKINGS, PERSISTENCES)
def test_it_lies_in_the_unit_interval_and_has_no_side(one: list[int], other: list[int], persistence: float) -> None:
    found = rank_biased_overlap(one, other, persistence=persistence)
    assert 0.0 <= found <= 1.0
    assert found == rank_biased_overlap(other, one, persistence=persistence)


@given(RANKINGS, PERSISTENCES)
def test_equal_rankings_agree_wholly_and_disjoint_ones_not_at_all(one: list[int], persistence: float) -> None:
    assert rank_biased_overlap(one, list(one), persistence=persistence) == pytest.approx(1.0)
    if one:
        assert rank_biased_overlap(one, [x + 100 for x in one], persistence=persistence) == 0.0
        assert rank_biased_overlap(one, [], persistence=persistence) == 0.0


@given(RANKINGS, RANKINGS, PERSISTENCES)
def test_names_do_not_matter(one: list[int], other: list[int], persistence: float) -> None:
    named = rank_biased_overlap([f"m{x}" for x in one], [f"m{x}" for x in other], persistence=persistence)
    assert named == rank_biased_overlap(one, other, persistence=persistence)


@given(st.permutations(range(6)), st.integers(0, 3), PERSISTENCES)
def test_a_change_at_the_top_weighs_more(one: list[int], at: int, persistence: float) -> None:
    def swapped(place: int) -> list[int]:
        return [*one[:place], one[place + 1], one[place], *one[place + 2 :]]

    upper = rank_biased_overlap(one, swapped(at), persistence=persistence)
    assert upper < rank_biased_overlap(one, swapped(at + 1), persistence=persistence)


@given(RANKINGS.filter(lambda one: len(one) > 1), PERSISTENCES, st.data())
def test_a_shorter_ranking_of_the_same_beginning_agrees_wholly(
    one: list[int], persistence: float, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(one)))
    assert rank_biased_overlap(one, one[:n], persistence=persistence) == pytest.approx(1.0)


@pytest.mark.parametrize("persistence", [0.0, 1.0, float("nan")])
def test_a_persistence_that_is_none_is_refused(persistence: float) -> None:
    with pytest.raises(InvalidParameterError, match="persistence must lie in"):
        rank_biased_overlap([1], [1], persistence=persistence)


def test_a_ranking_with_one_thing_twice_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="must hold each thing once"):
        rank_biased_overlap([1], [2, 2])

"""Laws of ablation: the terms recompose the sum, and a sum without one is the sum of the others."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma import policy as p
from soma.errors import InvalidParameterError
from soma.lab.ablation import summands, without_each

TERMS = [p.similarity(), p.importance(), p.lexical(), p.age_s(), p.idle_s(), 2 * p.similarity() * p.importance()]
VALUES = {"similarity": [0.5], "importance": [0.25], "lexical": [0.125], "age_s": [3.0], "idle_s": [7.0]}


@st.composite
def sums(draw: st.DrawFn) -> p.Policy:
    terms = draw(st.lists(st.sampled_from(TERMS), min_size=2, max_size=5, unique_by=str))
    while len(terms) > 1:  # bracketed anyhow
        at = draw(st.integers(0, len(terms) - 2))
        left, right = terms[at : at + 2]
        terms[at : at + 2] = [left + right if draw(st.booleans()) else left - right]
    return terms[0]


def value(policy: p.Policy) -> float:
    return float(policy.evaluate(VALUES)[0])


@given(sums())
def test_terms_recompose_the_sum_and_leaving_one_out_takes_it_away(policy: p.Policy) -> None:
    terms = summands(policy)
    assert math.fsum(sign * value(term) for sign, term in terms) == pytest.approx(value(policy))
    rests = without_each(policy)
    assert list(rests) == [str(term) for _, term in terms]
    for sign, term in terms:
        assert value(rests[str(term)]) == pytest.approx(value(policy) - sign * value(term))
        assert len(summands(rests[str(term)])) == len(terms) - 1


@pytest.mark.parametrize("policy", [p.similarity(), p.similarity() * p.importance(), p.similarity() + p.similarity()])
def test_what_is_no_sum_of_different_terms_is_refused(policy: p.Policy) -> None:
    with pytest.raises(InvalidParameterError, match="must be a sum of two terms or more"):
        without_each(policy)

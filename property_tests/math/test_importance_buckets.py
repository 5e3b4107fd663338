"""Laws of buckets beyond those that every normaliser states: accuracy, symmetry, one place a number, exact counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.importance import Ecdf, FixedBins, LogBuckets

reals = st.floats(allow_nan=False, allow_infinity=False)
raw = st.one_of(st.integers(-3, 12).map(float), st.integers(-(10**20), 10**20).map(float), reals)
seen = st.lists(raw, min_size=1, max_size=9)


@given(st.floats(1e-3, 1, exclude_max=True), raw, st.floats(0, 1))
def test_a_bucket_holds_only_numbers_within_its_relative_accuracy(a: float, x: float, t: float) -> None:
    gamma = (1 + a) / (1 - a)
    y = x * gamma * (1 + 1e-9 + t)
    assume(math.isfinite(y) and abs(x) >= 1e-300)
    assert len(LogBuckets(a).update([x, y]).counts) == 2
    near = x * (1 + a * 1e-3)
    assume(math.isfinite(near))
    # a number inside the accuracy lands in the same bucket or in the next one
    places = [place for place, _ in LogBuckets(a).update([x, near]).counts]
    assert places[-1] - places[0] <= 1


@given(st.floats(1e-3, 1, exclude_max=True), raw)
def test_buckets_mirror_at_zero_which_has_its_own(a: float, x: float) -> None:
    assume(abs(x) > 0)
    empty = LogBuckets(a)
    positive, negative = empty.update(abs(x)).counts[0][0], empty.update(-abs(x)).counts[0][0]
    assert positive == -negative > 0
    assert empty.update([0.0, -0.0]).counts == ((0, 2),)
    assert empty.update([x, -x, 0]).normalise([-abs(x), 0, abs(x)]).round(12).tolist() == [
        pytest.approx(1 / 6),
        0.5,
        pytest.approx(5 / 6),
    ]


@given(st.floats(1e-3, 1, exclude_max=True), seen, raw)
def test_buckets_rank_as_the_data_up_to_the_accuracy(a: float, sample: list[float], x: float) -> None:
    gamma = (1 + a) / (1 - a) * (1 + 1e-9)
    assume(1e-300 < abs(x) < 1e300)
    exact = Ecdf().update(sample)
    low, high = sorted([x / gamma, x * gamma])
    got = LogBuckets(a).update(sample).normalise(x)
    assert exact.normalise(low) <= got <= exact.normalise(high)


def test_a_bucket_is_the_same_on_every_machine() -> None:
    # pinned: states of workers with different processors and libraries must merge
    numbers = [-1e300, -7, -1, -5e-324, 0, 5e-324, 1e-10, 0.1, 1, 1.5, 2, 3, 10, 1e6, 1.7e308]
    places = [place for place, _ in LogBuckets(0.01).update(numbers).counts]
    assert places == PINNED


PINNED = [-103525, -53838, -53701, -1, 0, 1, 52036, 53530, 53701, 53726, 53751, 53776, 53863, 54696, 104895]


@given(st.lists(raw, min_size=2, max_size=30), st.sampled_from([0.001, 0.01, 0.3]))
def test_the_bucket_of_a_number_does_not_depend_on_the_batch(sample: list[float], a: float) -> None:
    empty = LogBuckets(a)
    strided = np.repeat(sample, 3)[::3]
    assert empty.update(strided) == empty.update(sample) == empty.update(np.array(sample)[::-1])


def test_millions_of_numbers_take_few_buckets() -> None:
    numbers = np.geomspace(1, 1e9, 200_000)
    assert len(LogBuckets(0.01).update(numbers).counts) < 1_600


def test_counts_never_pass_what_a_double_counts_exactly() -> None:
    half = FixedBins((1.0,), counts=((0, 2**52),))
    with pytest.raises(InvalidParameterError, match="2\\*\\*53"):
        half.merge(half)

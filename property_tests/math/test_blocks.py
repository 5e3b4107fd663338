"""Laws of blocks and of the orders that make their bounds tight; and of the error of a float32 product."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soma.errors import InvalidParameterError
from soma.math.blocks import block_max, block_min, newest_first
from soma.math.similarity import cosine, unit_vectors
from soma.math.topk import cosine_error

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
SLACK = 1e-12  # what exp2, a power and a few products can err, relatively

NUMBERS = st.floats(-100.0, 100.0)
NAN = float("nan")


@st.composite
def vector_pairs(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pairs of unit vectors that are hard to multiply: alike, of one sign, far apart in size."""
    d = draw(st.sampled_from([1, 2, 3, 17, 384, 1_024, 8_192]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([0.0, 1.0, 12.0, 40.0]))
    query = rng.normal(size=d) * np.exp(-size * rng.random(d))
    other = query if draw(st.booleans()) else rng.normal(size=d)
    if draw(st.booleans()):
        query, other = np.abs(query), np.abs(other)
    return unit_vectors(query), unit_vectors(other)


@given(vector_pairs())
def test_float32_products_err_less_than_their_bound_in_any_order(
    pair: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    q, v = pair
    exact = math.fsum(float(a) * float(b) for a, b in zip(q, v, strict=True))
    products = q * v
    orders = [
        np.vecdot(q, v),
        v[None, :] @ q,
        np.einsum("i,i", q, v),
        np.cumsum(products, dtype=np.float32)[-1],
        np.cumsum(products[::-1], dtype=np.float32)[-1],
        np.cumsum(np.sort(products), dtype=np.float32)[-1],
        cosine(q, v[None, :])[0],
    ]
    assert max(abs(float(np.ravel(found)[0]) - exact) for found in orders) <= cosine_error(len(q))


def test_the_bound_is_reached_within_a_small_factor() -> None:
    # each product is 3/4 of a last place of the sum above one: a quarter of a place is gained, always upwards
    d = 4_096
    v = np.full(d, np.float32(1 / 64)) * np.float32(1.0 + 3 * 2.0**-15)
    exact = math.fsum(float(x) ** 2 for x in v)
    lost = abs(float(np.cumsum(v * v, dtype=np.float32)[-1]) - exact)
    assert cosine_error(d) / 20 < lost < cosine_error(d)


@given(st.integers(0, 8_191))
def test_the_error_bound_grows_with_the_dimension_and_stays_near_its_first_order(d: int) -> None:
    assert cosine_error(d) < cosine_error(d + 1)
    assert d * 2.0**-24 <= cosine_error(d) <= d * 2.0**-24 * 1.004 + 1e-30


NUMBERS = st.floats(-100.0, 100.0)


@given(st.lists(NUMBERS, max_size=40), st.integers(1, 9))
def test_every_value_of_a_block_lies_between_its_extremes_which_it_reaches(values: list[float], rows: int) -> None:
    blocks = [values[start : start + rows] for start in range(0, len(values), rows)]
    assert block_max(values, rows).tolist() == [max(block) for block in blocks]
    assert block_min(values, rows).tolist() == [min(block) for block in blocks]


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0, 3.5]), NUMBERS), max_size=40), st.integers(1, 9))
def test_bands_of_weight_fall_and_time_falls_within_each(pairs: list[tuple[float, float]], n_bands: int) -> None:
    weight, time_s = np.array(pairs).reshape(-1, 2).T
    n = len(weight)
    order = newest_first(time_s, weight, n_bands=n_bands)
    assert sorted(order) == list(range(n))
    bands = [order[[i * n_bands // n == band for i in range(n)]] for band in range(n_bands)] if n else []
    for band in bands:
        assert (np.diff(time_s[band]) <= 0).all()
    for heavy, light in pairwise(bands):
        assert not len(heavy) or not len(light) or weight[heavy].min() >= weight[light].max()
    band_of = {row: place * n_bands // n for place, row in enumerate(sorted(range(n), key=lambda row: -weight[row]))}
    assert order.tolist() == sorted(range(n), key=lambda row: (band_of[row], -time_s[row]))  # rows alike keep theirs
    assert newest_first(time_s).tolist() == newest_first(time_s, weight, n_bands=1).tolist()
    assert newest_first(time_s).tolist() == sorted(range(n), key=lambda row: -time_s[row])


@pytest.mark.parametrize(
    ("parameter", "call"),
    [
        ("dimension", lambda: cosine_error(-1)),
        ("dimension", lambda: cosine_error(2**20 + 1)),
        ("block_rows", lambda: block_max([1.0], 0)),
        ("values", lambda: block_min([NAN], 1)),
        ("time_s", lambda: newest_first([NAN])),
        ("weight", lambda: newest_first([1.0], [NAN])),
        ("weight", lambda: newest_first([1.0], [1.0, 2.0])),
        ("n_bands", lambda: newest_first([1.0], [1.0], n_bands=0)),
        ("time_s", lambda: newest_first([[1.0]])),
    ],
)
def test_values_outside_the_domain_are_refused(parameter: str, call: Callable[[], object]) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        call()
    assert refused.value.parameter == parameter

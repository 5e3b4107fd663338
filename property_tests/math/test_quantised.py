"""The proven bound: what one-byte codes say of a cosine holds for the cosine that is computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soma.errors import InvalidParameterError
from soma.math.quantised import Codes, QueryCode, code_query, code_vectors, cosine_between, width_of
from soma.math.similarity import cosine, unit_vectors
from soma.math.topk_numba import cosines

DIMENSIONS = st.sampled_from([1, 2, 3, 8, 15, 16, 17, 64, 100, 384, 768, 1_023, 1_024, 2_000])


def of_kind(kind: str, n: int, d: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vectors that are hard on codes: of one size, of very many sizes, at the edge of rounding, with denormal parts."""
    if kind == "even":
        return unit_vectors(rng.choice([-1.0, 1.0], (n, d)))
    if kind == "wide":
        return unit_vectors(rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-45, 0, (n, d)))
    if kind == "halves":  # every number lies between two codes
        whole = rng.integers(-127, 127, (n, d)) + 0.5
        whole[:, 0] = 127.0
        return unit_vectors(whole)
    if kind == "single":
        return unit_vectors(np.eye(d)[rng.integers(0, d, n)] * rng.choice([-1.0, 1.0], (n, 1)))
    if kind == "zero":
        return np.zeros((n, d), dtype=np.float32)
    if kind == "denormal":
        return (unit_vectors(rng.normal(size=(n, d))) * np.float32(1e-40)).astype(np.float32)
    if kind == "long":  # as long as is let in
        return (unit_vectors(rng.normal(size=(n, d))) * np.float32(1.0009)).astype(np.float32)
    return unit_vectors(rng.normal(size=(n, d)))


KINDS = ["even", "wide", "halves", "single", "zero", "denormal", "long", "normal"]


@given(st.sampled_from(KINDS), st.sampled_from(KINDS), DIMENSIONS, st.integers(0, 2**32 - 1), st.booleans())
@example("halves", "halves", 1_024, 0, True)
def test_the_computed_cosine_lies_between_the_bounds(of: str, asked: str, d: int, seed: int, is_near: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = of_kind(of, 6, d, rng)
    query = vectors[0] if is_near else of_kind(asked, 1, d, rng)[0]
    low, high = cosine_between(code_query(query), code_vectors(vectors))
    exact = cosine(query, vectors)
    assert (np.clip(low, -1.0, 1.0) <= exact).all()
    assert (exact <= np.clip(high, -1.0, 1.0)).all()


@given(st.sampled_from(KINDS), DIMENSIONS, st.integers(0, 2**32 - 1))
def test_the_kernel_computes_what_the_formula_says(kind: str, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, block_rows = int(rng.integers(1, 40)), int(rng.integers(1, 12))
    codes, query = code_vectors(of_kind(kind, n, d, rng)), code_query(of_kind("normal", 1, d, rng)[0])
    low, high = cosine_between(query, codes)
    n_blocks = -(-n // block_rows)
    blocks = np.flatnonzero(rng.random(n_blocks) < 0.7)
    rows = np.concatenate([np.arange(n)[b * block_rows : (b + 1) * block_rows] for b in blocks] or [np.arange(0)])
    middle, reach = cosines(query, codes, blocks, block_rows, len(rows))
    assert (middle - reach).tobytes() == low[rows].tobytes()
    assert (middle + reach).tobytes() == high[rows].tobytes()


@given(st.integers(1, 4_000))
def test_the_largest_product_of_codes_is_a_32_bit_integer(d: int) -> None:
    signs = np.where(np.arange(d) % 2, -1.0, 1.0)
    vector = unit_vectors(signs)
    for query in (vector, -vector):
        coded, codes = code_query(query), code_vectors(vector[None])
        whole = codes.code.astype(object) @ coded.code.astype(object)
        assert abs(whole[0]) < 2**31
        middle, _ = cosines(coded, codes, np.array([0]), 1, 1)
        assert middle[0] == float(int(whole[0])) * (float(codes.scale[0]) * coded.scale)


@given(st.integers(0, 2**32 - 1))
def test_codes_of_sentence_like_vectors_are_near(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = cosine_between(
        code_query(of_kind("normal", 1, 384, rng)[0]), code_vectors(of_kind("normal", 50, 384, rng))
    )
    assert (high - low).max() < 0.04  # else it would spare nothing


@given(st.integers(1, 1_024), st.integers(0, 2**32 - 1))
def test_nearly_all_of_the_error_is_that_of_the_vectors(d: int, seed: int) -> None:
    query = code_query(of_kind("normal", 1, d, np.random.default_rng(seed))[0])
    assert query.error < 2e-4
    assert query.length < 1.001
    assert np.abs(query.code).max(initial=0) < 2**14


@pytest.mark.parametrize(
    "vectors", [np.full((1, 2), np.nan, np.float32), np.full((1, 2), np.inf, np.float32), np.ones((1, 2), np.float32)]
)
def test_what_is_no_unit_vector_is_refused(vectors: NDArray[np.float32]) -> None:
    with pytest.raises(InvalidParameterError, match="length"):
        code_vectors(vectors)
    with pytest.raises(InvalidParameterError, match="length"):
        code_query(vectors[0])


def test_another_type_or_shape_is_refused() -> None:
    for wrong in (np.zeros((1, 2)), np.zeros(2, np.float32)):
        with pytest.raises(InvalidParameterError, match="float32"):
            code_vectors(wrong)  # type: ignore[arg-type]
    for wrong in (np.zeros(2), np.zeros((1, 2), np.float32), np.zeros(0, np.float32)):
        with pytest.raises(InvalidParameterError, match="float32"):
            code_query(wrong)  # type: ignore[arg-type]


def test_padding_changes_nothing() -> None:
    assert [width_of(d) for d in (0, 1, 16, 17, 1_024)] == [0, 16, 16, 32, 1_024]
    codes = code_vectors(of_kind("normal", 3, 5, np.random.default_rng(0)))
    assert not codes.code[:, 5:].any()
    assert isinstance(codes, Codes)
    assert isinstance(code_query(of_kind("normal", 1, 5, np.random.default_rng(0))[0]), QueryCode)

"""What does not fit the exact top-k is refused, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from soma.errors import InvalidParameterError
from soma.math.similarity import unit_vectors
from soma.math.topk import merge_top_k, top_k, top_k_reference

Floats = NDArray[np.float64]

VALID: dict[str, Any] = {
    "query": unit_vectors([1.0, 0.0]),
    "vectors": unit_vectors(np.ones((3, 2))),
    "ids": np.arange(3),
    "k": 1,
    "score": lambda rows: np.ones(len(rows)),
    "upper": lambda rows, low, high: np.ones(len(rows)),
    "block_upper": np.ones(2),
    "upper_within": lambda blocks, low, high: np.ones(len(blocks)),
    "block_rows": 2,
}
NAN = float("nan")


def test_what_the_refusals_start_from_is_admitted() -> None:
    assert top_k(**VALID).rows.tolist() == [0]


@pytest.mark.parametrize(
    "change",
    [
        {"k": 0},
        {"k": -1},
        {"k": True},
        {"k": 1.0},
        {"block_rows": 0},
        {"query": np.array([1.0, 0.0])},
        {"query": unit_vectors([[1.0, 0.0]])},
        {"vectors": np.ones((3, 2))},
        {"vectors": unit_vectors(np.ones((3, 3)))},
        {"vectors": np.full((3, 2), np.float32(np.nan))},
        {"ids": np.arange(4)},
        {"block_upper": np.ones(3)},
        {"block_upper": np.array([1.0, NAN])},
        {"live": np.ones(2, dtype=bool)},
        {"live": np.ones(3, dtype=np.int64)},
        {"at_least": NAN},
        {"score": lambda rows: np.full(len(rows), NAN)},
        {"score": lambda rows: np.ones(len(rows) + 1)},
        {"at_least": 0.0, "upper_within": lambda blocks, low, high: np.full(len(blocks), NAN)},
        {"at_least": 0.0, "upper_within": lambda blocks, low, high: np.ones(1)},
    ],
    ids="-".join,
)
def test_what_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError):
        top_k(**{**VALID, **change})


@pytest.mark.parametrize("bound", [np.full(400, NAN), np.ones(1)], ids=["NaN", "shape"])
def test_an_upper_bound_of_rows_that_does_not_fit_is_refused(bound: Floats) -> None:
    many: dict[str, Any] = {
        "vectors": unit_vectors(np.ones((400, 2))),
        "ids": np.arange(400),
        "block_upper": np.ones(1),
    }
    with pytest.raises(InvalidParameterError, match=r"^upper must"):
        top_k(**{**VALID, **many, "block_rows": 400, "upper": lambda rows, low, high: bound[: len(rows)]})


@pytest.mark.parametrize(
    "call",
    [
        lambda: top_k_reference(np.array([NAN]), np.arange(1), 1),
        lambda: top_k_reference(np.array([1.0]), np.arange(2), 1),
        lambda: top_k_reference(np.array([1.0]), np.arange(1), 0),
        lambda: merge_top_k([], [np.arange(1)], 1),
        lambda: merge_top_k([], [], 0),
    ],
)
def test_values_outside_the_domain_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidParameterError):
        call()


def test_scores_of_minus_infinity_come_last_but_come() -> None:
    scores = np.array([-math.inf, 1.0, -math.inf])
    found = top_k(
        **{**VALID, "k": 3, "score": lambda rows: scores[rows], "upper": lambda rows, low, high: scores[rows]}
    )
    assert (found.rows.tolist(), found.scores.tolist()) == ([1, 0, 2], [1.0, -math.inf, -math.inf])

"""Addresses of embeddings: paths in a tree of directions, and codes like those of points."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError, SerializationError
from soma.math.coordinates import Frame, address, ancestor, cell_distance, common_level
from soma.math.projection import orthogonal_axes, project
from soma.math.vector_tree import VectorTree


def clusters(n: int, d: int, seed: int, *, spread: float = 0.3, n_centres: int = 12) -> Any:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_centres, d))
    return centres[rng.integers(n_centres, size=n)] + spread * rng.normal(size=(n, d))


def fitted(vectors: Any, levels: int, bits: int, seed: int = 0, **more: Any) -> VectorTree:
    return VectorTree.fit(vectors, levels=levels, bits=bits, rng=np.random.default_rng(seed), **more)


sizes = st.sampled_from([(1, 1), (3, 1), (2, 2), (4, 2), (1, 4), (2, 3)])
seeds = st.integers(0, 10**6)
numbers = st.integers(1, 60)


@given(numbers, st.integers(1, 6), sizes, seeds)
def test_every_step_leads_to_the_child_of_the_greatest_cosine(n: int, d: int, size: Any, seed: int) -> None:
    vectors = clusters(n, d, seed)
    tree = fitted(vectors, *size, seed)
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    for row, code in zip(units, tree.address(vectors).tolist(), strict=True):
        node = 0
        for depth, level in enumerate(tree.directions, start=1):
            taken = code >> tree.bits * (tree.levels - depth)
            children = level[node << tree.bits : (node + 1) << tree.bits] @ row
            assert children[taken & (2**tree.bits - 1)] >= children.max() - 1e-12
            node = taken


@given(numbers, st.integers(1, 6), sizes, seeds)
def test_the_codes_are_those_of_a_tree(n: int, d: int, size: Any, seed: int) -> None:
    vectors, (levels, bits) = clusters(n, d, seed), size
    tree = fitted(vectors, levels, bits, seed)
    codes = tree.address(vectors)
    assert codes.dtype == np.uint64
    assert (codes < 2 ** (levels * bits)).all()
    short = VectorTree(bits, tree.directions[:1])  # a tree that is less deep gives the beginning of the path
    assert (ancestor(codes, bits, levels, 1) == short.address(vectors)).all()
    distance = cell_distance(codes[:, None], codes[None, :], bits, levels)
    assert (distance[:, :, None] <= np.maximum(distance[:, None, :], distance[None, :, :]) + 0.0).all()  # ultrametric
    assert (common_level(codes, codes, bits, levels) == levels).all()


@given(numbers, st.integers(1, 6), sizes, seeds)
def test_the_generator_alone_decides(n: int, d: int, size: Any, seed: int) -> None:
    vectors = clusters(n, d, seed)
    one, other = fitted(vectors, *size, seed), fitted(vectors, *size, seed)
    for a, b in zip(one.directions, other.directions, strict=True):
        np.testing.assert_array_equal(a, b)
    again = VectorTree.from_dict(json.loads(json.dumps(one.to_dict())))
    assert (again.address(vectors) == one.address(vectors)).all()


@given(numbers, st.integers(1, 6), sizes, seeds, st.sampled_from([2.0**-60, 0.5, 8.0, 2.0**40]))
def test_only_directions_count(n: int, d: int, size: Any, seed: int, factor: float) -> None:
    vectors = clusters(n, d, seed)
    tree = fitted(vectors, *size, seed)
    assert (tree.address(vectors * factor) == tree.address(vectors)).all()
    assert (fitted(vectors * factor, *size, seed).address(vectors) == tree.address(vectors)).all()


@given(st.integers(2, 80), st.integers(2, 6), st.integers(1, 3), seeds)
def test_more_rounds_never_make_a_division_worse(n: int, d: int, bits: int, seed: int) -> None:
    vectors = clusters(n, d, seed)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    quality = []
    for rounds in (1, 2, 5, 50):
        tree = fitted(vectors, 1, bits, seed, max_rounds=rounds)
        quality.append(float((units @ tree.directions[0].T).max(axis=1).sum()))
    assert all(later >= earlier - 1e-6 * n for earlier, later in pairwise(quality))


def test_clusters_have_cells_of_their_own() -> None:
    rng = np.random.default_rng(1)
    centres = np.linalg.qr(rng.normal(size=(16, 16)))[0][:4]
    label = rng.integers(4, size=400)
    vectors = centres[label] + 0.05 * rng.normal(size=(400, 16))
    codes = ancestor(fitted(vectors, 2, 2).address(vectors), 2, 2, 1)
    assert len({(int(code), int(one)) for code, one in zip(codes, label, strict=True)}) == 4


def test_a_neighbour_shares_the_cell_more_often_than_in_a_projection() -> None:
    vectors = clusters(3_000, 32, 3, spread=0.6, n_centres=60)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = units[:300] @ units.T
    np.put_along_axis(likeness, np.arange(300)[:, None], -1.0, axis=1)
    nearest = np.argpartition(-likeness, 10, axis=1)[:, :10]

    def times_chance(codes: Any) -> float:
        by_chance = float(np.square(np.unique(codes, return_counts=True)[1] / len(codes)).sum())
        return float((codes[:300, None] == codes[nearest]).mean()) / by_chance

    points = project(units, orthogonal_axes(0, 32, 3))
    in_tree = times_chance(fitted(vectors, 3, 3).address(vectors))
    projected = times_chance(address(points, Frame((-1.0,) * 3, (1.0,) * 3), 3))
    assert in_tree > 5 * projected


def test_what_has_no_parts_is_one_cell() -> None:
    tree = fitted([[1.0, 0.0]] * 7, 3, 2)
    assert tree.address([[1.0, 0.0], [2.0, 0.0]]).tolist() == [0, 0]
    assert tree.address([0.0, 0.0]).shape == ()
    assert int(tree.address([0.0, 0.0])) == 0
    opposite = fitted([[1.0], [-1.0]], 2, 1)
    assert len(set(opposite.address([[1.0], [-1.0]]).tolist())) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": 0}, "levels"), ({"bits": 0}, "bits"), ({"levels": 9, "bits": 2}, "at most 16"),
        ({"levels": True}, "levels"), ({"bits": 1.0}, "bits"), ({"max_rounds": 0}, "max_rounds"),
        ({"vectors": []}, "vectors"), ({"vectors": [1.0, 2.0]}, "vectors"), ({"vectors": [[np.nan]]}, "vectors"),
    ],
)  # fmt: skip
def test_what_makes_no_tree_is_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"vectors": [[1.0, 0.0]], "levels": 1, "bits": 1, **changes}
    with pytest.raises(InvalidParameterError, match=message):
        VectorTree.fit(arguments.pop("vectors"), rng=np.random.default_rng(0), **arguments)


def test_what_is_no_description_is_refused() -> None:
    tree = fitted([[1.0, 0.0], [0.0, 1.0]], 1, 1)
    for wrong in ({}, {"bits": 1}, {**tree.to_dict(), "x": 1}, {"bits": 1, "directions": 3}):
        with pytest.raises(SerializationError):
            VectorTree.from_dict(wrong)
    for directions in ([[[1.0, 0.0]]], [[[1.0], [0.0]], [[1.0]]], [[1.0, 2.0]]):
        with pytest.raises(InvalidParameterError, match="directions"):
            VectorTree.from_dict({"bits": 1, "directions": directions})
    with pytest.raises(InvalidParameterError, match="dimension 2"):
        tree.address([[1.0, 0.0, 0.0]])

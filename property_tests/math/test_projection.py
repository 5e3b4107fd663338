"""Laws of the projection: orthonormal axes, the same on every machine, and coordinates inside their box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.coordinates import Frame
from soma.math.projection import orthogonal_axes, project
from soma.math.similarity import unit_vectors

seeds = st.integers(0, 2**40)
shapes = st.integers(1, 40).flatmap(lambda d: st.tuples(st.just(d), st.integers(1, min(d, 6))))


@given(seeds, shapes)
def test_axes_are_orthonormal(seed: int, shape: tuple[int, int]) -> None:
    axes = orthogonal_axes(seed, *shape)
    assert np.allclose(axes @ axes.T, np.eye(shape[1]), atol=1e-9)


@given(seeds, shapes)
def test_the_same_seed_gives_the_same_axes(seed: int, shape: tuple[int, int]) -> None:
    assert np.array_equal(orthogonal_axes(seed, *shape), orthogonal_axes(seed, *shape))


def test_axes_do_not_change_between_versions() -> None:
    assert orthogonal_axes(0, 4, 1)[0].round(12).tolist() == GOLDEN


GOLDEN = [-0.3452926075, 0.534013224079, 0.616180770187, -0.46467639295]


@given(seeds, shapes, st.integers(0, 2**32))
def test_projected_unit_vectors_lie_in_the_box_and_come_no_farther_apart(
    seed: int, shape: tuple[int, int], other: int
) -> None:
    vectors = unit_vectors(np.random.default_rng(other).normal(size=(5, shape[0])))
    points = project(vectors, orthogonal_axes(seed, *shape))
    assert Frame((-1.0,) * shape[1], (1.0,) * shape[1]).contains(points)
    apart = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=-1)
    assert (np.linalg.norm(points[:, None] - points[None], axis=-1) <= apart + 1e-6).all()


@given(seeds, shapes)
def test_an_axis_itself_is_drawn_at_the_edge_of_the_box(seed: int, shape: tuple[int, int]) -> None:
    axes = orthogonal_axes(seed, *shape)
    points = project(axes, axes)
    assert np.allclose(points, np.eye(shape[1]), atol=1e-9)
    assert (points < 1.0).all()
    assert (project(-axes, axes) >= -1.0).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: orthogonal_axes(-1, 3, 1),
        lambda: orthogonal_axes(0, 3, 4),
        lambda: orthogonal_axes(0, 3, 0),
        lambda: project([1.0, 0.0], orthogonal_axes(0, 3, 1)),
        lambda: project([np.nan, 0.0, 0.0], orthogonal_axes(0, 3, 1)),
        lambda: project(1.0, orthogonal_axes(0, 1, 1)),
    ],
)
def test_what_lies_outside_the_domain_is_refused(call: object) -> None:
    with pytest.raises(InvalidParameterError):
        call()  # type: ignore[operator]

"""Laws of the intervals of means: against the bootstrap as it is defined, and its coverage where the truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from soma.errors import InvalidParameterError
from soma.lab.intervals import mean_intervals

TABLES = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(-1, 1, width=32))


@given(TABLES, st.integers(0, 5), st.booleans())
def test_it_is_the_bootstrap_as_it_is_defined(table: np.ndarray[Any, Any], seed: int, is_clustered: bool) -> None:
    cluster = [f"c{row % 3}" for row in range(len(table))] if is_clustered else None
    found = mean_intervals(table, rng=np.random.default_rng(seed), cluster=cluster, n_resamples=40, level=0.8)
    groups = [[row] for row in range(len(table))]
    if cluster is not None:
        groups = [[row for row, of in enumerate(cluster) if of == name] for name in sorted(set(cluster))]
    drawn = np.random.default_rng(seed).integers(0, len(groups), (40, len(groups)))
    means = np.array([table[[row for group in one for row in groups[group]]].mean(axis=0) for one in drawn])
    assert found.mean == pytest.approx(table.mean(axis=0))
    assert found.low == pytest.approx(np.quantile(means, 0.1, axis=0), abs=1e-12)
    assert found.high == pytest.approx(np.quantile(means, 0.9, axis=0), abs=1e-12)


@given(TABLES, st.integers(0, 5))
def test_columns_share_their_resamples_so_that_differences_are_paired(table: np.ndarray[Any, Any], seed: int) -> None:
    both = np.concatenate([table, table + 0.25, table - (table + 0.25)], axis=1)
    found = mean_intervals(both, rng=np.random.default_rng(seed), n_resamples=50)
    n = table.shape[1]
    assert found.low[n : 2 * n] == pytest.approx(found.low[:n] + 0.25)
    # what is hard for both counts for neither: the difference is sure
    assert found.low[2 * n :] == pytest.approx(np.full(n, -0.25))
    assert found.high[2 * n :] == pytest.approx(np.full(n, -0.25))


@given(st.integers(0, 3))
def test_a_large_table_is_drawn_in_parts_with_the_same_result(seed: int) -> None:
    from soma.lab import intervals

    table = np.random.default_rng(seed).random((30, 2))
    whole = mean_intervals(table, rng=np.random.default_rng(1), n_resamples=100)
    kept = intervals._CHUNK
    try:
        intervals._CHUNK = 90  # type: ignore[misc]  # three resamples at a time
        parts = mean_intervals(table, rng=np.random.default_rng(1), n_resamples=100)
    finally:
        intervals._CHUNK = kept  # type: ignore[misc]
    assert parts.low == pytest.approx(whole.low)
    assert parts.high == pytest.approx(whole.high)


def test_intervals_cover_as_often_as_they_say_and_clusters_matter() -> None:
    rng = np.random.default_rng(7)
    covered = {"rows": 0, "clusters": 0}
    for _ in range(200):
        level = rng.normal(0.0, 1.0, 20)  # 20 conversations with 10 questions each, alike within a conversation
        values = (level[:, None] + rng.normal(0.0, 0.5, (20, 10))).reshape(-1, 1)
        for name, cluster in (("rows", None), ("clusters", np.repeat(np.arange(20), 10))):
            found = mean_intervals(values, rng=rng, cluster=cluster, n_resamples=200)
            covered[name] += bool(found.low[0] <= 0.0 <= found.high[0])
    assert 176 <= covered["clusters"] <= 199  # nominal 190; the bootstrap over 20 is a little narrow
    assert covered["rows"] < 140  # as if questions of one conversation did not depend on each other


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"values": [1.0, 2.0]}, "values"),
        ({"values": np.empty((0, 2))}, "values"),
        ({"values": [[np.nan]]}, "values"),
        ({"cluster": ["a"]}, "cluster"),
        ({"n_resamples": 1}, "n_resamples"),
        ({"n_resamples": True}, "n_resamples"),
        ({"level": 1.0}, "level"),
        ({"level": float("nan")}, "level"),
    ],
)
def test_what_is_outside_the_domain_is_refused(wrong: dict[str, Any], parameter: str) -> None:
    given = {"values": [[0.0], [1.0]], "rng": np.random.default_rng(0)} | wrong
    with pytest.raises(InvalidParameterError, match=f"^{parameter}"):
        mean_intervals(**given)

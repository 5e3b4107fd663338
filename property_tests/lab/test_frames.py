"""Laws of the frames: nothing is lost on the way, and an error names the column and the row."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import soma
from soma.errors import InvalidParameterError
from soma.lab.frames import fits_frame, recall_frame, records_frame, records_from_frame
from soma.math.fitting import fit_curve
from soma.testing.strategies import records


@given(st.lists(records(embedding_dimension=2), max_size=5))
def test_records_come_back_from_their_frame(made: list) -> None:  # type: ignore[type-arg]
    assert records_from_frame(records_frame(made)) == made


def rows(**changes: object) -> pd.DataFrame:
    row = {"id": "00000000-0000-4000-8000-000000000001", "coordinate": [0.0], "timestamp": 0.0, "importance": 1}
    return pd.DataFrame([row, {**row, **changes}])


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"timestamp": math.inf}, ["row 1", "timestamp"]),
        ({"importance": 1.5}, ["row 1", "importance"]),
        ({"coordinate": [math.nan]}, ["row 1", "coordinate"]),
        ({"id": "x"}, ["row 1", "id"]),
        ({"timestamp": pd.Timestamp("2026-03-01")}, ["row 1", "timestamp", "aware"]),
        ({"payload": {"raw": b"x"}}, ["row 1", "base64"]),
        ({"mood": "calm"}, ["mood"]),
    ],
)
def test_a_bad_value_is_named_by_column_and_row(changes: dict, parts: list[str]) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidParameterError) as caught:
        records_from_frame(rows(**changes).astype(object))
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("column", ["id", "coordinate", "timestamp", "importance"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(InvalidParameterError, match=column):
        records_from_frame(rows().drop(columns=column))


def test_aware_times_are_taken_and_a_namespace_is_given() -> None:
    frame = rows(timestamp=pd.Timestamp("2026-03-01", tz="UTC")).astype(object)
    assert [r.timestamp for r in records_from_frame(frame, namespace="lab")] == [0.0, 1_772_323_200.0]
    assert {r.namespace for r in records_from_frame(frame, namespace="lab")} == {"lab"}


def test_an_answer_becomes_a_row_a_hit() -> None:
    with soma.create_memory("TEST") as memory:
        memory.remember("the clock is slow", tags=["wall"])
        memory.remember("lunch was late")
        hits = memory.recall("clock", k=2)
        frame = hits.to_frame()
    assert frame["score"].tolist() == [hit.score for hit in hits]
    assert list(frame.index) == [0, 1]
    assert frame["tags"].tolist() == [["wall"], []]
    assert str(frame["timestamp"].dtype).startswith("datetime64[")
    assert frame["similarity"].tolist() == [hit.features["similarity"] for hit in hits]
    assert recall_frame(soma.MinimalSoma(dim=1).recall([0.0], now_s=0)).empty


def test_fits_are_compared_parameter_by_parameter() -> None:
    days = [86_400.0 * day for day in (1, 2, 4, 8, 16)]
    fits = [fit_curve(family, days, [38, 33, 25, 14, 6], n_trials=40) for family in ("exponential", "wickelgren")]
    frame = fits_frame(fits, level=0.9)
    assert list(frame.index) == [
        ("exponential", "half_life_s"),
        ("wickelgren", "initial"),
        ("wickelgren", "rate_per_s"),
        ("wickelgren", "exponent"),
    ]
    half_life = frame.loc[("exponential", "half_life_s")]
    assert half_life["value"] == fits[0].params["half_life_s"]
    assert (half_life["lower"], half_life["upper"]) == fits[0].intervals(0.9)["half_life_s"]
    assert half_life["aicc"] == fits[0].aicc
    assert fits_frame([]).empty

"""The figures of the mathematics show its numbers: what stands behind the artists is compared, not pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from soma.errors import InvalidParameterError
from soma.lab import plots
from soma.lab.decay_bench import Standing
from soma.math import decay
from soma.math.coordinates import hilbert_encode, morton_encode
from soma.math.dimension import renyi_dimension, two_nn
from soma.math.exponential_sum import power_law
from soma.math.importance import Ecdf, MinMax
from soma.math.units import DAY

DAYS = np.array([1.0, 4.0, 30.0]) * DAY
LAW = power_law(0.5, 1e-3, 1.0, 1e6)


def test_an_error_is_drawn_between_the_bounds_that_are_stated() -> None:
    error, upper, lower = plots.approximation(LAW).lines
    x, y = np.asarray(error.get_xdata()), np.asarray(error.get_ydata())
    assert (x[0], x[-1]) == pytest.approx((1.0, 1e6))
    assert np.allclose(y, LAW.value(x) * np.sqrt(x) - 1.0)
    assert (np.asarray(upper.get_ydata()) == LAW.eps).all()
    assert (np.asarray(lower.get_ydata()) == -LAW.eps).all()
    assert np.abs(y).max() <= LAW.eps


@pytest.mark.parametrize(("curve", "encode"), [("morton", morton_encode), ("hilbert", hilbert_encode)])
def test_a_path_visits_the_cells_in_the_order_of_their_codes(curve: str, encode: Callable[..., object]) -> None:
    (path,) = plots.cell_order(curve, 3).lines  # type: ignore[arg-type]
    cells = np.floor(np.stack([path.get_xdata(), path.get_ydata()], axis=1) * 8).astype(np.uint64)
    assert np.asarray(encode(cells, 3)).tolist() == list(range(64))


def test_what_was_measured_and_fitted_is_drawn() -> None:
    curve = decay.Exponential(9 * DAY)
    line, marks = plots.fitted(DAYS, [0.9, 0.7, 0.1], {"exponential": curve}).lines
    assert np.asarray(marks.get_xdata()).tolist() == pytest.approx([1.0, 4.0, 30.0])
    assert np.asarray(marks.get_ydata()).tolist() == [0.9, 0.7, 0.1]
    assert np.allclose(line.get_ydata(), curve.value(np.asarray(line.get_xdata()) * DAY))
    assert line.get_label() == "exponential"


def test_a_leaderboard_shows_differences_and_their_intervals() -> None:
    rows = [
        Standing("first", 3, 0.41, 0.05, 0.7, 99, 0.0, 0.0, 0.0),
        Standing("second", 1, 0.44, 0.06, 0.6, 99, 0.03, 0.01, 0.05),
    ]
    axes = plots.leaderboard(rows)
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [0.0, 0.03]
    segments = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    assert [segment[:, 0].tolist() for segment in segments] == [[0.0, 0.0], [0.01, 0.05]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first  0.4100", "second  0.4400"]
    assert axes.yaxis_inverted()


def test_lines_are_the_numbers_that_were_given() -> None:
    axes = plots.lines([0.0, 1.0], {"up": [0.0, 2.0], "down": [1.0, 0.0]}, x_label="age, days", y_label="score")
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[0.0, 2.0], [1.0, 0.0]]
    assert [line.get_label() for line in axes.lines] == ["up", "down"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("age, days", "score")


def test_normalisers_are_drawn_over_the_values_that_are_there() -> None:
    values = [1.0, 2.0, 9.0]
    scales = {"line": MinMax().update(values), "ranks": Ecdf().update(values)}
    *drawn, ticks = plots.normalisers(scales, values).lines
    for line, scale in zip(drawn, scales.values(), strict=True):
        x = np.asarray(line.get_xdata())
        assert (x[0], x[-1]) == (1.0, 9.0)
        assert np.asarray(line.get_ydata()).tolist() == scale.normalise(x).tolist()
    assert np.asarray(ticks.get_xdata()).tolist() == values


def test_a_line_has_the_slope_that_its_label_says() -> None:
    codes = np.arange(2**12, dtype=np.uint64)
    estimates = {"square": renyi_dimension(codes, 2, 6), "line": renyi_dimension(codes, 1, 12)}
    axes = plots.scaling(estimates)
    marks, lines = axes.lines[::2], axes.lines[1::2]
    for estimate, mark, line in zip(estimates.values(), marks, lines, strict=True):
        assert np.asarray(mark.get_xdata()).tolist() == [-x for x in estimate.log2_scale]
        assert np.asarray(mark.get_ydata()).tolist() == list(estimate.log2_measure)
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert np.allclose(np.diff(y) / np.diff(x), estimate.value)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "square: 2.000 ± 0.000",
        "line: 1.000 ± 0.000",
    ]  # type: ignore[union-attr]
    assert plots.scaling({}).get_legend() is None
    with pytest.raises(InvalidParameterError, match="two_nn"):
        plots.scaling({"points": two_nn(np.random.default_rng(0).random((9, 2)))})


REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "another curve": ("curve", lambda: plots.cell_order("peano", 2)),  # type: ignore[arg-type]
    "no level": ("levels", lambda: plots.cell_order("morton", 0)),
    "too many cells": ("levels", lambda: plots.cell_order("morton", 8)),
    "a measurement at the start": ("elapsed_s", lambda: plots.fitted([0.0], [1.0], {})),
    "more times than measurements": ("observed", lambda: plots.fitted([1.0, 2.0], [1.0], {})),
    "a line of another length": ("ys", lambda: plots.lines([1.0], {"y": [1.0, 2.0]}, x_label="", y_label="")),
    "a line with a hole": ("ys", lambda: plots.lines([1.0], {"y": [np.nan]}, x_label="", y_label="")),
    "no importance": ("importance", lambda: plots.normalisers({}, [])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_drawn_is_refused_by_name(case: str) -> None:
    parameter, call = REFUSED[case]
    with pytest.raises(InvalidParameterError) as refused:
        call()
    assert refused.value.parameter == parameter

"""Figures of experiments: how far systems are from their baseline, and recall over the number that is recalled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.lab.plots_base import COLOURS, INK, MARKERS, QUIET, axes_of, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from soma.lab.experiment import Experiment

__all__ = ["cutoffs", "experiment"]

_CUTOFF: Final = re.compile(r"R@([0-9]+)")


def experiment(experiment: Experiment, metric: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw by how much each system differs from the baseline, with its paired interval.

    Parameters
    ----------
    experiment : Experiment
        The systems.
    metric : str, optional
        One of its metrics; the first by default.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A mark and an interval for each system, the best on top; beside its name the mean.

    Raises
    ------
    InvalidParameterError
        For a metric that was not measured.

    Notes
    -----
    Tests: ``property_tests/lab/test_experiment.py``.
    """
    shown = experiment.metrics[0] if metric is None else metric
    if shown not in experiment.metrics:
        raise InvalidParameterError("metric", shown, f"must be one of {', '.join(experiment.metrics)}")
    summary = experiment.summary()
    own = summary[summary.index.get_level_values("metric") == shown]
    mean, apart, low, high = 100 * own[["mean", "difference", "difference_low", "difference_high"]].to_numpy(float).T
    order = np.argsort(-mean, kind="stable")
    axes = axes_of(ax, height=1.2 + 0.36 * len(own), width=8.0)
    places = np.arange(len(own))
    axes.hlines(places, low[order], high[order], color=COLOURS[0], linewidth=3, alpha=0.4)
    axes.plot(apart[order], places, "o", color=COLOURS[0], markersize=7)
    axes.axvline(0.0, color=QUIET, linewidth=1.0)
    names = own.index.get_level_values("system")
    axes.set_yticks(places, labels=[f"{names[row]}  {mean[row]:.1f}".replace("$", r"\$") for row in order])
    axes.invert_yaxis()
    axes.set_xlabel(f"{shown} less that of {experiment.baseline}, points, with {experiment.level:.0%} interval")
    tidy(axes, grid="x")
    return axes


def cutoffs(experiment: Experiment, *, ax: Axes | None = None) -> Axes:
    """Draw the recall of each system over the number of memories that is recalled, with its interval.

    Parameters
    ----------
    experiment : Experiment
        The systems; measured at two cut-offs ``R@K`` or more.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A line and a band for each system, in percent.

    Raises
    ------
    InvalidParameterError
        For an experiment with fewer cut-offs.

    Notes
    -----
    Tests: ``property_tests/lab/test_experiment.py``.
    """
    depths = {int(found[1]): metric for metric in experiment.metrics if (found := _CUTOFF.fullmatch(metric))}
    if len(depths) < 2:
        raise InvalidParameterError("experiment", experiment.metrics, "must be measured at two cut-offs R@K or more")
    columns = experiment.summary()[["mean", "low", "high"]]
    summary = dict(zip(columns.index.tolist(), columns.to_numpy(float), strict=True))
    axes = axes_of(ax, height=4.4, width=8.0)
    k = sorted(depths)
    for number, name in enumerate(experiment.systems):
        rows = 100 * np.array([summary[name, depths[depth]] for depth in k])
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot(k, rows[:, 0], f"-{marker}", color=colour, linewidth=2, label=name.replace("$", r"\$"))
        axes.fill_between(k, rows[:, 1], rows[:, 2], color=colour, alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(k, labels=[str(depth) for depth in k])
    axes.minorticks_off()
    axes.set_xlabel("memories recalled")
    axes.set_ylabel("evidence among them, percent")
    axes.set_ylim(0.0, 100.0)
    axes.set_title(f"{experiment.per_query['qid'].nunique():,} questions", loc="left", color=INK)
    tidy(axes, grid="y")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return axes

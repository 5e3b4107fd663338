"""How the summary of an experiment is read: as a small table, and as LaTeX."""

from __future__ import annotations

from typing import Final

import pandas as pd

__all__ = ["latex", "readable"]

_SPECIAL: Final = str.maketrans({letter: "\\" + letter for letter in "_$&#%{}"} | {"\\": r"\textbackslash{}"})


def readable(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary as texts in percent: one row a system, one column a metric, differences in brackets.

    Parameters
    ----------
    summary : DataFrame
        From `soma.lab.experiment.Experiment.summary`.
    """
    cells = pd.Series(
        [
            f"{100 * row.mean_:.1f}"
            + ("" if row.is_same else f" [{100 * row.difference_low:+.1f}, {100 * row.difference_high:+.1f}]")
            for row in _marked(summary).itertuples()
        ],
        index=summary.index,
    )
    return _wide(cells)


def latex(summary: pd.DataFrame, baseline: str, level: float) -> str:
    """Return a summary as a LaTeX tabular with rules of ``booktabs``, the best of each column bold.

    Parameters
    ----------
    summary : DataFrame
        From `soma.lab.experiment.Experiment.summary`.
    baseline : str
        What the differences are from.
    level : float
        Coverage of their intervals.
    """
    marked = _marked(summary)
    within = [name for name in summary.index.names if name != "system"]
    best = marked.groupby(level=within)["mean_"].transform("max")
    texts = []
    for row, top in zip(marked.itertuples(), best, strict=True):
        shown = f"{100 * row.mean_:.1f}"
        shown = rf"\textbf{{{shown}}}" if row.mean_ == top else shown
        apart = rf" {{\scriptsize$[{100 * row.difference_low:+.1f}, {100 * row.difference_high:+.1f}]$}}"
        texts.append(shown if row.is_same else shown + apart)
    wide = _wide(pd.Series(texts, index=summary.index))
    names = [name for name in wide.index.names]
    head = " & ".join(name.translate(_SPECIAL) for name in [*names, *wide.columns])
    lines = [
        rf"% in percent; in brackets the {100 * level:g} percent paired interval of the difference from {baseline}",
        rf"\begin{{tabular}}{{{'l' * len(names)}{'r' * len(wide.columns)}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
    ]
    for key, row in zip(wide.index, wide.itertuples(index=False, name=None), strict=True):
        labels = [str(label).translate(_SPECIAL) for label in (key if isinstance(key, tuple) else (key,))]
        lines.append(rf"{' & '.join([*labels, *row])} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _marked(summary: pd.DataFrame) -> pd.DataFrame:
    frame = summary.rename(columns={"mean": "mean_"})  # itertuples would shadow nothing, and stay readable
    ends = frame[["difference", "difference_low", "difference_high"]]
    return frame.assign(is_same=(ends == 0.0).all(axis=1))


def _wide(cells: pd.Series) -> pd.DataFrame:
    metrics = list(dict.fromkeys(cells.index.get_level_values("metric")))
    wide = cells.unstack("metric", sort=False)
    wide.columns.name = None
    return wide[metrics]

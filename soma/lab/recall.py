"""A recall as a researcher meets it: a table in Jupyter, a data frame, a figure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from soma.state.recall import Recall

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["LabRecall"]


@dataclass(frozen=True, slots=True, repr=False)
class LabRecall(Recall):
    """A ranked answer that also gives a data frame and a figure (extra ``lab``).

    Parameters
    ----------
    query, policy, now_s, hits, n_candidates, explanations, way, n_visited
        As of `soma.state.recall.Recall`.
    """

    @classmethod
    def of(cls, recall: Recall) -> LabRecall:
        """Return the same answer, for the lab."""
        return cls(**{field.name: getattr(recall, field.name) for field in fields(Recall)})

    def to_frame(self) -> pd.DataFrame:
        """Return one row a hit: rank, score, what identifies the memory, and every feature."""
        from soma.lab.frames import recall_frame  # noqa: PLC0415 - pandas is loaded on first use

        return recall_frame(self)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the score of every hit; see `soma.lab.plots.recall`."""
        from soma.lab import plots  # noqa: PLC0415 - matplotlib is loaded on first use

        return plots.recall(self, ax=ax)

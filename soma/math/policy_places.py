"""The nodes that look at the neighbours of each candidate in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import policy_formula as formulas
from soma.math.domain import FloatArray
from soma.math.policy_evaluate import PLACE
from soma.math.policy_operations import field_name, number, reach_of, require_small
from soma.math.policy_set import SetLevel
from soma.math.policy_windows import fading

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Neighbours", "Placed", "Previous"]


@dataclass(frozen=True, slots=True, repr=False)
class Placed(SetLevel):
    """A node that looks at the neighbours in the order of time.

    Parameters
    ----------
    of : Policy
        The operand.
    group : str, optional
        The path in the payload whose value neighbours must share; a memory without it has none.
    """

    group: str | None = None

    def __post_init__(self) -> None:
        if self.group is not None:
            object.__setattr__(self, "group", field_name("group", self.group))
        require_small(self)

    @property
    def reads(self) -> tuple[str, ...]:
        """``place.`` and the group."""
        return (PLACE + (self.group or ""),)

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {**SetLevel.to_node(self), "group": self.group}

    def _settings(self) -> dict[str, tuple[str, str]]:
        return {} if self.group is None else {"group": formulas.quoted(self.group)}


@dataclass(frozen=True, slots=True, repr=False)
class Neighbours(Placed):
    """The mean over the neighbours in the order of time, each place further away counting less.

    Parameters
    ----------
    of : Policy
        The operand.
    group : str, optional
        The path in the payload whose value neighbours must share; a memory without it has none.
    ratio : float
        How much one place further counts, in (0, 1].
    reach : int
        How many places away a neighbour counts, 1 to `MAX_REACH`.
    """

    ratio: float = 0.5
    reach: int = 6

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", number("ratio", self.ratio))
        if not 0 < self.ratio <= 1:
            raise InvalidParameterError("ratio", self.ratio, "must be within (0, 1]")
        object.__setattr__(self, "reach", reach_of(self.reach))
        Placed.__post_init__(self)

    @property
    def kind(self) -> str:
        """``"neighbours"``."""
        return "neighbours"

    def combine(self, x: FloatArray, *facts: FloatArray) -> FloatArray:  # noqa: ARG002 - the facts hold its share
        """Return the sum of the three shares."""
        own, before, after = facts
        return own + before + after

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {**Placed.to_node(self), "ratio": self.ratio, "reach": self.reach}

    def _settings(self) -> dict[str, tuple[str, str]]:
        shown = {"ratio": self.ratio, "reach": float(self.reach)}
        return {
            **{name: (formulas.shown(value), formulas.number(value).latex) for name, value in shown.items()},
            **({} if self.group is None else {"group": formulas.quoted(self.group)}),
        }

    def _facts(self, x: FloatArray, *columns: NDArray[Any]) -> dict[str, FloatArray]:
        (before, n_before), (after, n_after) = fading(
            np.stack([x, np.ones(len(x))]), columns[0], self.ratio, self.reach
        )
        weight = 1.0 + n_before + n_after
        shares = (part / weight for part in (x, before, after))
        return dict(zip(("its own share", "from those before", "from those after"), shares, strict=True))


@dataclass(frozen=True, slots=True, repr=False)
class Previous(Placed):
    """The value of the memory before, in the order of time.

    Parameters
    ----------
    of : Policy
        The operand.
    group : str, optional
        The path in the payload whose value the two must share.
    """

    @property
    def kind(self) -> str:
        """``"previous"``."""
        return "previous"

    def combine(self, x: FloatArray, *facts: FloatArray) -> FloatArray:  # noqa: ARG002 - it is the fact
        """Return the value of the one before."""
        return facts[0]

    def _facts(self, x: FloatArray, *columns: NDArray[Any]) -> dict[str, FloatArray]:
        return {"value of the one before": fading(x, columns[0], 1.0, 1)[0]}

"""The nodes that score a candidate set as a whole.

The candidate set is the rows that `Policy.evaluate` is given. In a recall these are all live memories of the
namespace that its filters (type, tags, expiry) admit, as many as ``Recall.n_candidates`` says: never a shortlist,
and never what an index happened to visit.

Every node here has one operand, draws facts about each row from the set, and gets its value from the operand and
those facts. An explanation lists the facts after the operand.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import policy_formula as formulas
from soma.math.domain import FloatArray
from soma.math.importance_base import TIED, share
from soma.math.policy_evaluate import PAYLOAD
from soma.math.policy_expression import Policy
from soma.math.policy_formula import Formula
from soma.math.policy_operations import Node, field_name, number, require_small
from soma.math.policy_windows import spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy_bounds import Interval

__all__ = [
    "MAX_BEST",
    "MAX_SCALES",
    "Context",
    "MinMax",
    "Rank",
    "ReciprocalRank",
    "SetLevel",
    "TopMean",
]

MAX_SCALES: Final = 32
"""Most scales of one context."""

MAX_BEST: Final = 1_000_000
"""Most values of one mean."""


@dataclass(frozen=True, slots=True, repr=False)
class SetLevel(Node):
    """A node whose value in a row depends on all rows.

    Parameters
    ----------
    of : Policy
        The operand.
    """

    of: Policy

    def __post_init__(self) -> None:
        require_small(self)

    @property
    def operands(self) -> tuple[Policy, ...]:
        """What is compared."""
        return (self.of,)

    @property
    def is_pointwise(self) -> bool:
        """False."""
        return False

    @property
    def formula(self) -> Formula:
        """``kind(x, setting=value)``."""
        settings = self._settings()
        text = ", ".join([self.of.formula.text, *(f"{name}={shown}" for name, (shown, _) in settings.items())])
        latex = rf"\operatorname{{{self.kind.replace('_', '~')}}}"
        if settings:
            latex += f"_{{{', '.join(shown for _, shown in settings.values())}}}"
        return Formula(f"{self.kind}({text})", rf"{latex}\left({self.of.formula.latex}\right)")

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Return the value from the operand and the facts."""
        return self.account(*inputs)[0]

    def account(self, *inputs: NDArray[Any]) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return the value, and by name what the set says about each row."""
        x = _column(*inputs)
        facts = self._facts(x, *inputs[1:]) if x.size else {}
        return np.asarray(self.combine(x, *facts.values())) if x.size else x, facts

    @abstractmethod
    def combine(self, x: FloatArray, *facts: FloatArray) -> FloatArray:
        """Return the value from the operand and the facts, row by row."""

    def enclose(self, *inputs: Interval) -> Interval:  # noqa: ARG002 - whatever they are
        """Refuse: a box of rows says nothing about the other candidates."""
        raise InvalidParameterError("policy", str(self), "must be pointwise to have bounds")

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.kind, "of": self.of.to_node()}

    def _settings(self) -> dict[str, tuple[str, str]]:
        """Return the settings by name, as text and as LaTeX."""
        return {}

    @abstractmethod
    def _facts(self, x: FloatArray, *columns: NDArray[Any]) -> dict[str, FloatArray]: ...


@dataclass(frozen=True, slots=True, repr=False)
class MinMax(SetLevel):
    """The place between the least and the greatest of the candidates, in [0, 1].

    Parameters
    ----------
    of : Policy
        The operand.
    """

    @property
    def kind(self) -> str:
        """``"minmax"``."""
        return "minmax"

    def combine(self, x: FloatArray, *facts: FloatArray) -> FloatArray:
        """Return (x - least) / (greatest - least), or `TIED` where they are equal."""
        least, greatest = facts
        return share(x, least, greatest) if least < greatest else np.full_like(x, TIED)

    def _facts(self, x: FloatArray, *columns: NDArray[Any]) -> dict[str, FloatArray]:  # noqa: ARG002 - none are read
        return {"least of the candidates": np.asarray(np.min(x)), "greatest": np.asarray(np.max(x))}


class Ranked(SetLevel):
    """A node that knows only the order of the candidates: by falling value, ties by rising id."""

    __slots__ = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """``id``."""
        return ("id",)

    def _facts(self, x: FloatArray, *columns: NDArray[Any]) -> dict[str, FloatArray]:
        place = np.empty(len(x))
        place[np.lexsort((columns[0], -x))] = np.arange(len(x))
        above = (len(x) - np.searchsorted(np.sort(x), x, side="right")).astype(np.float64)
        return {"candidates with more": above, "with as much and a smaller id": place - above}


@dataclass(frozen=True, slots=True, repr=False)
class Rank(Ranked):
    """The place in the order by falling value, from 0; ties go to the smaller id.

    Parameters
    ----------
    of : Policy
        The operand.
    """

    @property
    def kind(self) -> str:
        """``"rank"``."""
        return "rank"

    def combine(self, x: FloatArray, *facts: FloatArray) -> FloatArray:  # noqa: ARG002 - the facts suffice
        """Return how many candidates come first."""
        above, tied = facts
        return above + tied


@dataclass(frozen=True, slots=True, repr=False)
class ReciprocalRank(Ranked):
    """1 / (k + the rank from 1): the summand of reciprocal rank fusion.

    Parameters
    ----------
    of : Policy
        The operand.
    k : float
        How little the first places stand out, >= 0.
    """

    k: float = 60.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", number("k", self.k))
        if self.k < 0:
            raise InvalidParameterError("k", self.k, "must be >= 0")
        require_small(self)

    @property
    def kind(self) -> str:
        """``"rrf"``."""
        return "rrf"

    def combine(self, x: FloatArray, *facts: FloatArray) -> FloatArray:  # noqa: ARG002 - the facts suffice
        """Return the reciprocal."""
        above, tied = facts
        return np.asarray(1.0 / (self.k + (above + tied + 1.0)))

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {**SetLevel.to_node(self), "k": self.k}

    def _settings(self) -> dict[str, tuple[str, str]]:
        return {"k": (formulas.shown(self.k), formulas.number(self.k).latex)}


@dataclass(frozen=True, slots=True, repr=False)
class TopMean(SetLevel):
    """The mean of the best values in the row's group.

    Parameters
    ----------
    of : Policy
        The operand.
    group : str
        The field of the payload that names the group; a memory without it is a group of its own.
    n : int
        How many values count, >= 1; of a smaller group, all.
    """

    group: str
    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", field_name("group", self.group))
        n: object = self.n
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MAX_BEST:
            raise InvalidParameterError("n", self.n, f"must be an integer from 1 to {MAX_BEST}")
        require_small(self)

    @property
    def kind(self) -> str:
        """``"top_mean"``."""
        return "top_mean"

    @property
    def reads(self) -> tuple[str, ...]:
        """The field of the payload."""
        return (PAYLOAD + self.group,)

    def combine(self, x: FloatArray, *facts: FloatArray) -> FloatArray:  # noqa: ARG002 - it is one of the facts, or not
        """Return the sum over the number; no rounding takes it beyond the values themselves."""
        best, worst, total, counted = facts
        return np.where(np.isfinite(total), np.clip(total / counted, worst, best), total)

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {**SetLevel.to_node(self), "group": self.group, "n": self.n}

    def _settings(self) -> dict[str, tuple[str, str]]:
        return {"group": formulas.quoted(self.group), "n": (str(self.n), str(self.n))}

    def _facts(self, x: FloatArray, *columns: NDArray[Any]) -> dict[str, FloatArray]:
        groups = columns[0]
        order = np.lexsort((-x, groups))  # by falling value, so that sums do not depend on the order of the rows
        value, group = x[order], groups[order]
        starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        counted = np.minimum(np.diff(np.r_[starts, len(x)]), self.n)
        index = np.cumsum(np.r_[True, group[1:] != group[:-1]]) - 1
        is_best = np.arange(len(x)) - starts[index] < self.n
        total = np.bincount(index[is_best], weights=value[is_best], minlength=len(starts))
        found = np.empty((4, len(x)))
        found[:, order] = np.stack([value[starts], value[starts + counted - 1], total, counted])[:, index]
        return dict(
            zip(("best of the group", "last that counts", "sum of those", "number of those"), found, strict=True)
        )


@dataclass(frozen=True, slots=True, repr=False)
class Context(SetLevel):
    """The value spread over the neighbours in time, averaged over scales.

    Parameters
    ----------
    of : Policy
        The operand.
    scales_s : tuple of float
        How far it spreads: seconds, > 0, rising; at most `MAX_SCALES`.
    group : str, optional
        The path in the payload whose value neighbours must share; a memory without it has none.
    """

    scales_s: tuple[float, ...]
    group: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales_s", _scales(self.scales_s))
        if self.group is not None:
            object.__setattr__(self, "group", field_name("group", self.group))
        require_small(self)

    @property
    def kind(self) -> str:
        """``"context"``."""
        return "context"

    @property
    def reads(self) -> tuple[str, ...]:
        """``age_s``, and the field of the payload."""
        return ("age_s",) if self.group is None else ("age_s", PAYLOAD + self.group)

    def combine(self, x: FloatArray, *facts: FloatArray) -> FloatArray:  # noqa: ARG002 - the facts hold its shares
        """Return the mean over the scales of what is kept and what is received; of equal ones, that value itself."""
        mean = facts[0] + facts[1]
        for i in range(2, len(facts), 2):
            mean = mean + (facts[i] + facts[i + 1] - mean) / (i // 2 + 1)
        return mean

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {**SetLevel.to_node(self), "scales_s": list(self.scales_s), "group": self.group}

    def _settings(self) -> dict[str, tuple[str, str]]:
        text = ", ".join(map(formulas.shown, self.scales_s))
        latex = ", ".join(formulas.number(scale).latex for scale in self.scales_s)
        found = {"scales_s": (f"[{text}]", latex)}
        return found if self.group is None else found | {"group": formulas.quoted(self.group)}

    def _facts(self, x: FloatArray, *columns: NDArray[Any]) -> dict[str, FloatArray]:
        age, *groups = columns
        group = groups[0] if groups else np.zeros(len(x), dtype=np.intp)
        kept, received = spread(x, age, group, np.array(self.scales_s))
        found: dict[str, FloatArray] = {}
        for i, scale in enumerate(self.scales_s):
            found[f"kept within {formulas.shown(scale)} s"] = kept[i]
            found[f"received within {formulas.shown(scale)} s"] = received[i]
        return found


def _column(x: FloatArray, *columns: NDArray[Any]) -> FloatArray:
    """Return the operand with one value a row: a constant has no axis."""
    return np.broadcast_to(x, columns[0].shape) if columns else x


def _scales(scales_s: Iterable[float]) -> tuple[float, ...]:
    found = [number("scales_s", scale) for scale in scales_s] if isinstance(scales_s, Iterable) else []
    rising = all(earlier < later for earlier, later in pairwise([0.0, *found]))
    if not 1 <= len(found) <= MAX_SCALES or not rising:
        raise InvalidParameterError("scales_s", scales_s, f"must be 1 to {MAX_SCALES} rising numbers of seconds, > 0")
    return tuple(found)

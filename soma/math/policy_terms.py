"""The leaves of a policy that read features, and the forgetting curve of an age."""

from __future__ import annotations

import ast
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import decay as curves
from soma.math import policy_bounds as bounds
from soma.math import policy_formula as formulas
from soma.math.domain import FloatArray
from soma.math.policy_evaluate import BM25, GRAPH, MEMORY_TYPES, MENTIONS, NUMERIC_FEATURES
from soma.math.policy_expression import Policy
from soma.math.policy_formula import Binding, Formula
from soma.math.policy_operations import Node, field_name, number, reach_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy_bounds import Interval

__all__ = ["TERMS", "BestMatch", "Decay", "Direction", "Graph", "MemoryTypeIs", "Mentions", "SameCell", "Term"]

Direction: TypeAlias = Literal["out", "in", "both"]
"""Which way links are followed: from source to target, back, or either."""

MAX_DAMPING: Final = 0.95
"""The largest share of an attention that goes on at each link: its sum is then known to 1e-12 after 600 links."""

TERMS: Final = tuple(name for name in NUMERIC_FEATURES if name not in ("common_level", GRAPH))
"""The features that are terms as they stand."""


@dataclass(frozen=True, slots=True, repr=False)
class Term(Node):
    """A feature that is a number, by its name.

    Parameters
    ----------
    name : str
        One of `TERMS`.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in TERMS:
            raise InvalidParameterError("term", self.name, f"must be one of {', '.join(TERMS)}")

    @property
    def kind(self) -> str:
        """The name of the feature."""
        return self.name

    @property
    def reads(self) -> tuple[str, ...]:
        """The name."""
        return (self.name,)

    @property
    def formula(self) -> Formula:
        """``similarity()``."""
        return Formula(f"{self.name}()", rf"\mathrm{{{self.name.removesuffix('_s').replace('_', '~')}}}")

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Return the feature."""
        return inputs[0]

    def enclose(self, *inputs: Interval) -> Interval:
        """Return the feature's range."""
        return inputs[0]

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.name}


@dataclass(frozen=True, slots=True, repr=False)
class SameCell(Node):
    """1 where the record's address shares at least ``level`` levels with the query's, else 0.

    Parameters
    ----------
    level : int
        0 to 64.
    """

    level: int

    def __post_init__(self) -> None:
        level: object = self.level
        if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= 64:
            raise InvalidParameterError("level", self.level, "must be an integer from 0 to 64")

    @property
    def kind(self) -> str:
        """``"same_cell"``."""
        return "same_cell"

    @property
    def reads(self) -> tuple[str, ...]:
        """``common_level``."""
        return ("common_level",)

    @property
    def formula(self) -> Formula:
        """``same_cell(3)``."""
        return Formula(f"same_cell({self.level})", rf"\mathbf{{1}}[\mathrm{{level}} \ge {self.level}]")

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Return the indicator."""
        return _indicator(inputs[0] >= self.level)

    def enclose(self, *inputs: Interval) -> Interval:
        """Return the indicator's range: it rises with the level."""
        return self.compute(inputs[0][0]), self.compute(inputs[0][1])

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.kind, "level": self.level}


@dataclass(frozen=True, slots=True, repr=False)
class MemoryTypeIs(Node):
    """1 where the record is of that type, else 0.

    Parameters
    ----------
    is_type : str
        ``"episodic"`` or ``"semantic"``.
    """

    is_type: str

    def __post_init__(self) -> None:
        if self.is_type not in MEMORY_TYPES:
            raise InvalidParameterError("memory_type", self.is_type, f"must be {' or '.join(MEMORY_TYPES)}")
        object.__setattr__(self, "is_type", str.__str__(self.is_type))

    @property
    def kind(self) -> str:
        """``"memory_type"``."""
        return "memory_type"

    @property
    def reads(self) -> tuple[str, ...]:
        """``memory_type``."""
        return ("memory_type",)

    @property
    def formula(self) -> Formula:
        """``memory_type("semantic")``."""
        return Formula(f'memory_type("{self.is_type}")', rf"\mathbf{{1}}[\mathrm{{{self.is_type}}}]")

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Return the indicator."""
        return _indicator(inputs[0] == self.is_type)

    def enclose(self, *inputs: Interval) -> Interval:
        """Return the indicator's range: 1 if the box holds this type only, 0 if it cannot hold it."""
        first, last = (np.asarray(end, dtype=np.str_) for end in inputs[0])
        may = (first <= self.is_type) & (self.is_type <= last)
        return _indicator(may & (first == last)), _indicator(may)

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.kind, "is_type": self.is_type}


@dataclass(frozen=True, slots=True, repr=False)
class BestMatch(Node):
    """The BM25 score of the record's words for the query's, among the candidates.

    Parameters
    ----------
    k1 : float
        How late a repeated word stops counting, >= 0.
    b : float
        How much a text's length is held against it, in [0, 1].
    ratio : float
        How much a neighbour's words count for each place that it is away, in [0, 1]; 0 for none.
    reach : int
        How many places away a neighbour's words count, 0 to `MAX_REACH`.
    group : str, optional
        The path in the payload whose value neighbours must share.
    """

    k1: float = 0.9
    b: float = 0.4
    ratio: float = 0.0
    reach: int = 0
    group: str | None = None

    def __post_init__(self) -> None:
        for name in ("k1", "b", "ratio"):
            object.__setattr__(self, name, number(name, getattr(self, name)))
        if self.k1 < 0:
            raise InvalidParameterError("k1", self.k1, "must be >= 0")
        for name in ("b", "ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidParameterError(name, getattr(self, name), "must be within [0, 1]")
        object.__setattr__(self, "reach", reach_of(self.reach, least=0))
        if (self.ratio > 0) != (self.reach > 0):
            raise InvalidParameterError("reach", self.reach, "must be >= 1 with a ratio, and 0 without")
        if self.group is not None:
            object.__setattr__(self, "group", field_name("group", self.group))
            if not self.reach:
                raise InvalidParameterError("group", self.group, "must be absent where no words spread")

    @classmethod
    def of_feature(cls, name: str) -> BestMatch:
        """Return the node that reads the feature of that name."""
        return cls(**_settings(name))

    @property
    def kind(self) -> str:
        """``"bm25"``."""
        return BM25

    @property
    def reads(self) -> tuple[str, ...]:
        """``bm25``, with the settings that are not the usual ones."""
        text = self.formula.text
        return (BM25 if text == "bm25()" else text,)

    @property
    def formula(self) -> Formula:
        """``bm25(ratio=0.5, reach=6)``: what is not the usual is said."""
        shown = [
            (name, *(formulas.quoted(value) if isinstance(value, str) else (formulas.shown(float(value)),) * 2))
            for name, value in _unusual(self, BestMatch()).items()
        ]
        text = ", ".join(f"{name}={value}" for name, value, _ in shown)
        latex = ", ".join(rf"\mathrm{{{name.replace('k1', 'k_1')}}} = {value}" for name, _, value in shown)
        return Formula(f"bm25({text})", r"\mathrm{bm25}" + (f"_{{{latex}}}" if latex else ""))

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Return the feature."""
        return inputs[0]

    def enclose(self, *inputs: Interval) -> Interval:
        """Return the feature's range."""
        return inputs[0]

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.kind} | {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True, repr=False)
class Graph(Node):
    """The share of an attention that reaches the record over links.

    Parameters
    ----------
    damping : float
        How much of it goes on at each link, 0 to `MAX_DAMPING`.
    direction : {"out", "in", "both"}
        Which way links are followed.
    curve : Curve, optional
        How links fade with the time since they were set.
    """

    damping: float = 0.5
    direction: Direction = "both"
    curve: curves.Curve | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "damping", number("damping", self.damping))
        if not 0 <= self.damping <= MAX_DAMPING:
            raise InvalidParameterError("damping", self.damping, f"must be within [0, {MAX_DAMPING}]")
        if self.direction not in get_args(Direction):
            raise InvalidParameterError("direction", self.direction, "must be 'out', 'in' or 'both'")
        if self.curve is not None and not isinstance(self.curve, tuple(curves.FAMILIES.values())):
            raise InvalidParameterError("curve", self.curve, "must be a forgetting curve of soma.math.decay")

    @classmethod
    def of_feature(cls, name: str) -> Graph:
        """Return the node that reads the feature of that name."""
        return cls(**_settings(name))

    @property
    def kind(self) -> str:
        """``"graph"``."""
        return GRAPH

    @property
    def reads(self) -> tuple[str, ...]:
        """``graph``, with the settings that are not the usual ones."""
        text = self.formula.text
        return (GRAPH if text == "graph()" else text,)

    @property
    def formula(self) -> Formula:
        """``graph(direction="out")``: what is not the usual is said."""
        said = _unusual(self, Graph())
        shown = [f"{name}={formulas.quoted(x)[0] if isinstance(x, str) else repr(x)}" for name, x in said.items()]
        latex = [formulas.shown(self.damping)] * ("damping" in said)
        latex += [rf"\mathrm{{{self.direction}}}"] * ("direction" in said)
        latex += [self.curve.latex("t")] if self.curve is not None else []
        marks = f"_{{{', '.join(latex)}}}" if latex else ""
        return Formula(f"graph({', '.join(shown)})", rf"\mathrm{{graph}}{marks}")

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Return the feature."""
        return inputs[0]

    def enclose(self, *inputs: Interval) -> Interval:
        """Return the feature's range."""
        return inputs[0]

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        curve = None if self.curve is None else self.curve.to_dict()
        return {"node": self.kind, "damping": self.damping, "direction": self.direction, "curve": curve}


@dataclass(frozen=True, slots=True, repr=False)
class Mentions(Node):
    """The share of the words of one field of the payload that the query has.

    Parameters
    ----------
    field : str
        The path of the field.
    """

    field: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", field_name("field", self.field))

    @property
    def kind(self) -> str:
        """``"mentions"``."""
        return "mentions"

    @property
    def reads(self) -> tuple[str, ...]:
        """``mentions.field``."""
        return (MENTIONS + self.field,)

    @property
    def formula(self) -> Formula:
        """``mentions("speaker")``."""
        text, latex = formulas.quoted(self.field)
        return Formula(f"mentions({text})", rf"\mathrm{{mentions}}\left({latex}\right)")

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Return the feature."""
        return inputs[0]

    def enclose(self, *inputs: Interval) -> Interval:
        """Return the feature's range."""
        return inputs[0]

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.kind, "field": self.field}


@dataclass(frozen=True, slots=True, repr=False)
class Decay(Node):
    """A forgetting curve of an age.

    Parameters
    ----------
    curve : Curve
        One of `soma.math.decay`.
    of : Policy
        The term ``age_s`` or ``idle_s``.
    """

    curve: curves.Curve
    of: Policy

    def __post_init__(self) -> None:
        if isinstance(self.curve, type) or not isinstance(self.curve, curves.Curve):
            raise InvalidParameterError("curve", self.curve, "must be a forgetting curve of soma.math.decay")
        if not isinstance(self.of, Term) or self.of.name not in ("age_s", "idle_s"):
            raise InvalidParameterError("of", self.of, "must be age_s or idle_s")

    @property
    def kind(self) -> str:
        """``"decay"``."""
        return "decay"

    @property
    def operands(self) -> tuple[Policy, ...]:
        """The age."""
        return (self.of,)

    @property
    def formula(self) -> Formula:
        """``decay(Exponential(half_life_s=3600.0), of=age_s)``."""
        text = f"decay({self.curve!r}, of={self.of.kind})"
        latex = self.curve.latex(self.of.formula.latex)
        return Formula(text, latex, latex_binding=Binding.POWER)

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Apply the curve."""
        value: FloatArray = self.curve.value(*inputs)
        return value

    def enclose(self, *inputs: Interval) -> Interval:
        """Apply the curve, which never rises, to both ends."""
        return bounds.decreasing(self.curve.value, *inputs)

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.kind, "curve": self.curve.to_dict(), "of": self.of.to_node()}


def _indicator(holds: NDArray[np.bool_]) -> FloatArray:
    return holds.astype(np.float64)


def _unusual(node: Policy, plain: Policy) -> dict[str, Any]:
    """Return the settings of a node that are not the usual ones."""
    said = {field.name: getattr(node, field.name) for field in fields(node)}  # type: ignore[arg-type]
    return {name: value for name, value in said.items() if value != getattr(plain, name)}


def _settings(name: str) -> dict[str, Any]:
    """Return the settings that the name of a feature says, as the formula of a term does."""
    call = ast.parse(name, mode="eval").body
    return {word.arg or "": _setting(word.value) for word in call.keywords} if isinstance(call, ast.Call) else {}


def _setting(value: ast.expr) -> Any:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        families = {family.__name__: family for family in curves.FAMILIES.values()}
        return families[value.func.id](**_settings(ast.unparse(value)))
    return ast.literal_eval(value)

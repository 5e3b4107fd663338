"""The inner nodes of a policy: constants, functions, operators and clipping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import policy_bounds as bounds
from soma.math import policy_formula as formulas
from soma.math.domain import FloatArray, finite
from soma.math.policy_expression import Operand, Policy
from soma.math.policy_json import MAX_DEPTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy_bounds import Interval
    from soma.math.policy_formula import Formula

__all__ = [
    "BINARY",
    "MAX_NODES",
    "MAX_REACH",
    "UNARY",
    "Binary",
    "Clip",
    "Constant",
    "Node",
    "Unary",
    "field_name",
    "lift",
    "number",
    "reach_of",
    "require_small",
]

MAX_REACH: Final = 64
"""Furthest neighbours, in places."""

MAX_NODES: Final = 1_000
"""Largest policy, in nodes."""


class Node(Policy):
    """A policy whose operators make the nodes of this module."""

    __slots__ = ()

    def clip(self, lower: float | None = None, upper: float | None = None) -> Policy:
        """Return this, held between two numbers, of which one may be absent."""
        return Clip(self, lower, upper)

    @staticmethod
    def _make(kind: str, *operands: Operand) -> Policy:
        lifted = [lift(operand) for operand in operands]
        return Unary(kind, *lifted) if kind in UNARY else Binary(kind, *lifted)


def lift(value: Operand) -> Policy:
    """Return a policy as it is, and a number as a constant."""
    return value if isinstance(value, Policy) else Constant(value)


@dataclass(frozen=True, slots=True, repr=False)
class Constant(Node):
    """A finite number.

    Parameters
    ----------
    value : float
        Finite.
    """

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", number("constant", self.value))

    @property
    def kind(self) -> str:
        """``"constant"``."""
        return "constant"

    @property
    def formula(self) -> Formula:
        """The number."""
        return formulas.number(self.value)

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:  # noqa: ARG002 - a constant has no inputs
        """Return the number, without an axis."""
        return np.array(self.value)

    def enclose(self, *inputs: Interval) -> Interval:  # noqa: ARG002 - a constant has no inputs
        """Return the number, twice."""
        return np.array(self.value), np.array(self.value)

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.kind, "value": self.value}


@dataclass(frozen=True, slots=True, repr=False)
class Unary(Node):
    """A function of one expression: ``negative``, ``exp`` or ``log``.

    Parameters
    ----------
    function : str
        ``negative``, ``exp`` or ``log``.
    of : Policy
        The operand.
    """

    function: str
    of: Policy

    def __post_init__(self) -> None:
        if self.function not in UNARY:
            raise InvalidParameterError("function", self.function, f"must be one of {', '.join(UNARY)}")
        require_small(self)

    @property
    def kind(self) -> str:
        """The name of the function."""
        return self.function

    @property
    def operands(self) -> tuple[Policy, ...]:
        """The argument."""
        return (self.of,)

    @property
    def formula(self) -> Formula:
        """``exp(x)``, or ``-x``."""
        x = self.of.formula
        return (
            formulas.signed(x) if self.function == "negative" else formulas.call(self.function, rf"\{self.function}", x)
        )

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Apply the function."""
        value: FloatArray = UNARY[self.function][0](*inputs)
        return value

    def enclose(self, *inputs: Interval) -> Interval:
        """Apply the function to the interval."""
        return UNARY[self.function][1](*inputs)

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.function, "of": self.of.to_node()}


@dataclass(frozen=True, slots=True, repr=False)
class Binary(Node):
    """An operator between two expressions: ``+ - * / **``, ``max`` or ``min``.

    Parameters
    ----------
    operator : str
        ``+``, ``-``, ``*``, ``/``, ``**``, ``max`` or ``min``.
    left, right : Policy
        The operands.
    """

    operator: str
    left: Policy
    right: Policy

    def __post_init__(self) -> None:
        if self.operator not in BINARY:
            raise InvalidParameterError("operator", self.operator, f"must be one of {', '.join(BINARY)}")
        require_small(self)

    @property
    def kind(self) -> str:
        """The operator."""
        return self.operator

    @property
    def operands(self) -> tuple[Policy, ...]:
        """Left and right."""
        return (self.left, self.right)

    @property
    def formula(self) -> Formula:
        """``left * right``, or ``max(left, right)``."""
        left, right = self.left.formula, self.right.formula
        if self.operator in ("max", "min"):
            return formulas.call(self.operator, rf"\{self.operator}", left, right)
        return formulas.infix(self.operator, left, right)

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Apply the operator."""
        value: FloatArray = BINARY[self.operator][0](*inputs)
        return value

    def enclose(self, *inputs: Interval) -> Interval:
        """Apply the operator to the intervals."""
        if self.operator == "**" and isinstance(self.right, Constant) and self.right.value.is_integer():
            return bounds.integer_power(inputs[0], self.right.value)
        return BINARY[self.operator][1](*inputs)

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.operator, "left": self.left.to_node(), "right": self.right.to_node()}


@dataclass(frozen=True, slots=True, repr=False)
class Clip(Node):
    """An expression held between two numbers, of which one may be None.

    Parameters
    ----------
    of : Policy
        The operand.
    lower, upper : float or None
        The bounds, lower <= upper; at least one.
    """

    of: Policy
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        for name in ("lower", "upper"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, number(name, value))
        if self.lower is None and self.upper is None:
            raise InvalidParameterError("clip", None, "must have a lower or an upper end")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise InvalidParameterError("lower", self.lower, f"must be <= upper, which is {self.upper}")
        require_small(self)

    @property
    def kind(self) -> str:
        """``"clip"``."""
        return "clip"

    @property
    def operands(self) -> tuple[Policy, ...]:
        """What is held."""
        return (self.of,)

    @property
    def formula(self) -> Formula:
        """``x.clip(0, 1)``."""
        given = {"lower": self.lower, "upper": self.upper}
        text = [formulas.shown(value) for value in given.values() if value is not None]
        if self.lower is None:
            text = [f"upper={text[0]}"]
        ends = [
            missing if value is None else formulas.number(value).latex
            for value, missing in zip(given.values(), (r"-\infty", r"\infty"), strict=True)
        ]
        return formulas.method(
            self.of.formula, "clip", rf"\operatorname{{clip}}_{{[{', '.join(ends)}]}}", ", ".join(text)
        )

    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Hold the value."""
        value = inputs[0]  # np.clip does the same, some microseconds later
        if self.lower is not None:
            value = np.maximum(value, self.lower)
        if self.upper is not None:
            value = np.minimum(value, self.upper)
        return value

    def enclose(self, *inputs: Interval) -> Interval:
        """Hold both ends."""
        low, high = inputs[0]
        return self.compute(low), self.compute(high)

    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""
        return {"node": self.kind, "of": self.of.to_node(), "lower": self.lower, "upper": self.upper}


_Rule: TypeAlias = "tuple[np.ufunc, Callable[..., Interval]]"

UNARY: Final[dict[str, _Rule]] = {
    "negative": (np.negative, bounds.negative),
    "exp": (np.exp, bounds.exponential),
    "log": (np.log, bounds.logarithm),
}

BINARY: Final[dict[str, _Rule]] = {
    "+": (np.add, bounds.add),
    "-": (np.subtract, bounds.subtract),
    "*": (np.multiply, bounds.multiply),
    "/": (np.divide, bounds.divide),
    "**": (np.power, bounds.power),
    "max": (np.maximum, bounds.maximum),
    "min": (np.minimum, bounds.minimum),
}


def number(parameter: str, value: float) -> float:
    """Return one finite number, with one zero, or raise."""
    array = finite(parameter, value)
    if array.ndim != 0 or isinstance(value, bool | np.bool_):
        raise InvalidParameterError(parameter, value, "must be a policy or one number")
    return float(array) + 0.0  # -0.0 would be equal to 0.0, and yet another constant


def field_name(parameter: str, name: str) -> str:
    """Return the path of a field of the payload, or raise."""
    if not isinstance(name, str) or not 1 <= len(name) <= 128 or not name.isprintable():
        raise InvalidParameterError(parameter, name, "must be the name of a field of the payload, 1 to 128 characters")
    return str.__str__(name)


def reach_of(reach: int, *, least: int = 1) -> int:
    """Return how many places away a neighbour counts, or raise."""
    if isinstance(reach, bool) or not isinstance(reach, int) or not least <= reach <= MAX_REACH:
        raise InvalidParameterError("reach", reach, f"must be an integer from {least} to {MAX_REACH}")
    return reach


def require_small(node: Policy) -> None:
    """Raise unless the operands are policies, and the whole is within `MAX_DEPTH` and `MAX_NODES`."""
    for operand in node.operands:
        if not isinstance(operand, Policy):
            raise InvalidParameterError("operand", operand, "must be a policy")
    depth, n_nodes = _size(node)
    if depth > MAX_DEPTH:
        raise InvalidParameterError("policy", depth, f"must be at most {MAX_DEPTH} nodes deep")
    if n_nodes > MAX_NODES:
        raise InvalidParameterError("policy", n_nodes, f"must have at most {MAX_NODES} nodes")


def _size(node: Policy) -> tuple[int, int]:
    sizes = [_size(operand) for operand in node.operands]
    return 1 + max((depth for depth, _ in sizes), default=0), 1 + sum(count for _, count in sizes)

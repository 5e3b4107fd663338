"""What an expression is worth: walks over its nodes, from the features up to the score."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, overload

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, non_negative, unit_interval
from soma.math.policy_explain import Explanation
from soma.math.policy_windows import group_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from soma.math.policy_bounds import Interval
    from soma.math.policy_expression import Policy

__all__ = [
    "BM25",
    "GRAPH",
    "MEMORY_TYPES",
    "MENTIONS",
    "NUMERIC_FEATURES",
    "PAYLOAD",
    "Columns",
    "Evaluation",
    "Plan",
    "bound",
    "explain",
]

Columns: TypeAlias = "Mapping[str, NDArray[Any]]"
Key = TypeVar("Key", bound=Hashable)
_Account: TypeAlias = "tuple[list[float], dict[str, list[float]]]"

MEMORY_TYPES: Final = ("episodic", "semantic")
"""The values of the feature ``memory_type``."""


def _finite_non_negative(parameter: str, value: ArrayLike) -> FloatArray:
    return non_negative(parameter, finite(parameter, value))


GRAPH: Final = "graph"
"""What the name of a feature begins with that says how much of an attention reaches a memory; what follows is how."""

NUMERIC_FEATURES: Final = {
    "similarity": finite,
    "importance": unit_interval,
    "age_s": _finite_non_negative,
    "idle_s": _finite_non_negative,
    "n_recalls": _finite_non_negative,
    "activation": finite,
    "trace": _finite_non_negative,
    "lexical": finite,
    GRAPH: finite,
    "when": unit_interval,
    "n_words": _finite_non_negative,
    "asks": unit_interval,
    "common_level": _finite_non_negative,
}
"""The features that are numbers, each with the check of its domain."""

BM25: Final = "bm25"
"""What the name of a feature begins with that scores the words of a query; what follows is how."""

MENTIONS: Final = "mentions."
"""What the name of a feature begins with that says how much of one field of the payload a query names."""

PLACE: Final = "place."
"""What the name of a feature begins with that says where a memory stands in time among those of its group.

Whole numbers, no two alike: what follows the one before has the next number, and groups lie out of each other's reach.
What the name goes on with is the path of the group; with nothing, all memories are one group.
"""

PAYLOAD: Final = "payload."
"""What the name of a feature begins with that holds one field of the payload, as a label; ``""`` for none."""


class Evaluation:
    """What a policy and each of its nodes is worth on one table of features; a node that occurs twice is computed once.

    Parameters
    ----------
    policy : Policy
        The expression.
    features : mapping of str to array_like, shape (n,)
        As for `Policy.evaluate`.
    """

    def __init__(self, policy: Policy, features: Mapping[str, ArrayLike]) -> None:
        columns, shape = _table(policy, features)
        self._policy = policy
        self._values = _Values(columns)
        with np.errstate(all="ignore"):
            self.scores = np.asarray(self._values.of(policy), dtype=np.float64).reshape(shape)

    def explain(self, rows: Sequence[int]) -> Explanations:
        """Return the trees of values behind the scores of some rows, each made when it is looked at."""
        return Explanations(self._policy, self._values.at(np.array(rows, dtype=np.intp)), len(rows))


class Explanations(Sequence[Explanation]):
    """The explanations of some rows: of each node the values there are kept, and the trees are made of them on demand.

    Parameters
    ----------
    policy : Policy
        The expression.
    accounts : dict of int to (list of float, dict of str to list of float)
        By the identity of each node, its value and facts in each of the rows.
    n : int
        How many rows.
    """

    def __init__(self, policy: Policy, accounts: dict[int, _Account], n: int) -> None:
        self._policy, self._accounts, self._n = policy, accounts, n

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, row: int) -> Explanation: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[Explanation, ...]: ...
    def __getitem__(self, row: int | slice) -> Explanation | tuple[Explanation, ...]:
        rows = range(self._n)[row]
        return self._tree(self._policy, rows) if isinstance(rows, int) else tuple(map(self.__getitem__, rows))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _tree(self, node: Policy, row: int) -> Explanation:
        value, facts = self._accounts[id(node)]
        parts = [self._tree(part, row) for part in _parts(node)]
        parts += [Explanation(name, fact[row]) for name, fact in facts.items()]
        return Explanation(node.formula.text, value[row], node.kind if node.operands else "", tuple(parts))


class Plan:
    """A pointwise policy as a list of steps, to be taken again and again: what `Policy.evaluate` does without a walk.

    Parameters
    ----------
    policy : Policy
        Pointwise.
    """

    def __init__(self, policy: Policy) -> None:
        self._steps: list[tuple[Policy, list[int], tuple[str, ...]]] = []
        self._place(policy, {})

    def __call__(self, columns: Columns) -> FloatArray:
        """Return the scores.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,)
            As `soma.state.features.features` makes them: inside their domains, contiguous; they are not checked.
        """
        values: list[FloatArray] = []
        with np.errstate(all="ignore"):
            for node, operands, reads in self._steps:
                value = node.compute(*[values[i] for i in operands], *[columns[name] for name in reads])
                values.append(_finite(node, value) if operands else value)
        return values[-1]

    def _place(self, node: Policy, known: dict[int, int]) -> int:
        if id(node) not in known:
            operands = [self._place(operand, known) for operand in node.operands]
            self._steps.append((node, operands, node.reads))
            known[id(node)] = len(self._steps) - 1
        return known[id(node)]


def explain(policy: Policy, features: Mapping[str, ArrayLike], rows: Sequence[int]) -> tuple[Explanation, ...]:
    """Return the tree of values behind each of some rows."""
    columns, shape = _table(policy, features)
    n = int(np.prod(shape, dtype=np.int64))
    for row in rows:
        if len(shape) > 1 or not -n <= row < n:
            raise InvalidParameterError("row", row, f"must be one of {n} rows in one axis")
    chosen = np.array(rows, dtype=np.intp)
    if policy.is_pointwise and columns:  # then no other row matters
        columns, chosen = {name: column[chosen] for name, column in columns.items()}, np.arange(len(rows))
    values = _Values(columns)
    with np.errstate(all="ignore"):
        values.of(policy)
    return tuple(Explanations(policy, values.at(chosen), len(rows)))


def bound(policy: Policy, lower: Mapping[str, ArrayLike], upper: Mapping[str, ArrayLike]) -> Interval:
    """Return what ``policy`` cannot leave while each feature stays between its ends."""
    names = sorted(policy.features)
    boxes = {"lower": lower, "upper": upper}
    ends, shape = _aligned({(end, name): _column(name, box) for end, box in boxes.items() for name in names})
    for name in names:
        if not (ends["lower", name] <= ends["upper", name]).all():
            raise InvalidParameterError(f"lower {name}", lower[name], "must not lie above its upper end")
    low, high = ({name: ends[end, name] for name in names} for end in boxes)
    with np.errstate(all="ignore"):
        below, above = _interval(policy, low, high)
    return np.asarray(below).reshape(shape), np.asarray(above).reshape(shape)


def _table(policy: Policy, features: Mapping[str, ArrayLike]) -> tuple[dict[str, NDArray[Any]], tuple[int, ...]]:
    columns, shape = _aligned({name: _column(name, features) for name in sorted(policy.features)})
    if "id" in columns and len(np.unique(columns["id"])) != columns["id"].size:
        raise InvalidParameterError("id", features["id"], "must hold unique integers, strings or bytes")
    for name in columns:
        if name.startswith(PAYLOAD):
            columns[name] = group_numbers(columns[name])
    return columns, shape


def _column(name: str, features: Mapping[str, ArrayLike]) -> NDArray[Any]:
    if name not in features:
        raise InvalidParameterError("features", sorted(features), f"must include {name}, which the policy reads")
    if name in NUMERIC_FEATURES:
        return NUMERIC_FEATURES[name](name, features[name])
    if name.startswith(BM25):
        return _finite_non_negative(name, features[name])
    if name.startswith(GRAPH):
        return finite(name, features[name])
    if name.startswith(MENTIONS):
        return unit_interval(name, features[name])
    found = np.asarray(features[name])
    if name.startswith(PLACE):
        if (found.dtype.kind not in "iu" and found.size) or (np.diff(np.sort(found, axis=None)) == 0).any():
            raise InvalidParameterError(name, features[name], "must hold unique integers")
        return found.astype(np.intp)
    if name == "id":
        if found.dtype.kind not in "SUiu":
            raise InvalidParameterError(name, features[name], "must hold unique integers, strings or bytes")
        return found
    if name.startswith(PAYLOAD):
        if found.dtype.kind != "U" and found.size:
            raise InvalidParameterError(name, features[name], 'must hold strings, and "" where there is no label')
        return found.astype(np.str_)
    if not np.isin(found, MEMORY_TYPES).all():
        raise InvalidParameterError(name, features[name], f"must hold only {' and '.join(MEMORY_TYPES)}")
    return found.astype(np.str_)


def _aligned(columns: Mapping[Key, NDArray[Any]]) -> tuple[dict[Key, NDArray[Any]], tuple[int, ...]]:
    """Return the columns in one axis of equal length, and their common shape.

    NumPy computes one and the same element alike in any contiguous array; with a broadcast one, a power
    may differ in the last bit, and a subset of the rows would not score as the whole does.
    """
    try:
        aligned = np.broadcast_arrays(*columns.values())
    except ValueError:
        shapes = {str(key): column.shape for key, column in columns.items()}
        raise InvalidParameterError("features", shapes, "must broadcast to one shape") from None
    flat = {key: np.ascontiguousarray(column).ravel() for key, column in zip(columns, aligned, strict=True)}
    return flat, aligned[0].shape if aligned else ()


class _Values:
    """What each node is worth on one table of features."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._known: dict[int, tuple[FloatArray, dict[str, FloatArray]]] = {}  # by identity: the policy holds its nodes

    def of(self, node: Policy) -> FloatArray:
        """Return the value of a node in every row."""
        return self.account(node)[0]

    def account(self, node: Policy) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return that, and what it follows from beside the operands."""
        found = self._known.get(id(node))
        if found is None:
            inputs = [*map(self.of, node.operands), *(self._columns[name] for name in node.reads)]
            value, facts = node.account(*inputs)
            is_leaf = not node.operands  # a number, or a feature: finite
            found = self._known[id(node)] = value if is_leaf else _finite(node, value), facts
        return found

    def at(self, rows: NDArray[np.intp]) -> dict[int, _Account]:
        """Return of each node that was computed the value and the facts in some rows."""
        return {
            node: (_at(value, rows), {name: _at(fact, rows) for name, fact in facts.items()})
            for node, (value, facts) in self._known.items()
        }


def _finite(node: Policy, value: FloatArray) -> FloatArray:
    if not np.isfinite(value).all():
        row = int(np.flatnonzero(~np.isfinite(value))[0])
        raise InvalidParameterError(
            str(node), float(np.ravel(value)[row]), f"must be finite everywhere, and is not in row {row}"
        )
    return value


def _at(value: FloatArray, rows: NDArray[np.intp]) -> list[float]:
    """Return the value in each row; one that no feature touches has no axis."""
    found: list[float] = (value[rows] if value.ndim else np.broadcast_to(value, rows.shape)).tolist()
    return found


def _parts(node: Policy) -> tuple[Policy, ...]:
    """Return the operands; of a chain ``a * b * c`` all factors, as people read it."""
    parts = node.operands
    while node.kind in ("+", "*") and parts[0].kind == node.kind:
        parts = (*parts[0].operands, *parts[1:])
    return parts


def _interval(node: Policy, lower: Columns, upper: Columns) -> Interval:
    operands = (_interval(operand, lower, upper) for operand in node.operands)
    return node.enclose(*operands, *((lower[name], upper[name]) for name in node.reads))

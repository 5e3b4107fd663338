"""What a policy is and does: an expression that can be evaluated, explained, bounded, printed and saved.

The nodes stand in `soma.math.policy_operations` and `soma.math.policy_terms`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from soma import canonical_json
from soma.math import policy_evaluate, policy_json

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from soma.math.domain import FloatArray
    from soma.math.policy_bounds import Interval
    from soma.math.policy_evaluate import Evaluation
    from soma.math.policy_explain import Explanation
    from soma.math.policy_formula import Formula

__all__ = ["INDEXED_FEATURES", "Operand", "Policy"]

INDEXED_FEATURES: Final = frozenset({"similarity", "importance", "age_s", "idle_s", "memory_type"})
"""The features of which the exact index knows the range in each block of rows."""


class Policy(ABC):
    """A scoring expression: an immutable value, equal to any other of the same structure.

    Build one with `soma.math.policy` and combine it with ``+ - * / **``, `clip`, `exp`, `log`, `max` and
    `min`. Numbers count as constants.

    Notes
    -----
    Every node must have a finite value for every row: the logarithm of 0 or a division by 0 is an error that
    names its place in the formula, never a NaN in a ranking. A pointwise policy scores rows independently: the
    scores of a subset are bit-identical to the subset of the scores. A set-level one, which contains a node of
    `soma.math.policy_set`, scores the rows that it is given as one candidate set.

    Laws: ``property_tests/math/test_policy.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> policy = p.similarity().clip(0) * p.importance() ** 0.5
    >>> policy
    similarity().clip(0) * importance() ** 0.5
    >>> policy.evaluate({"similarity": [0.8, -0.3], "importance": [0.25, 1.0]}).tolist()
    [0.4, 0.0]
    """

    __slots__ = ()
    __array_ufunc__: ClassVar[None] = None  # numpy scalars then leave ``np.float64(2) * policy`` to us

    @property
    @abstractmethod
    def kind(self) -> str:
        """The name of the node in JSON and in explanations."""

    @property
    def operands(self) -> tuple[Policy, ...]:
        """The nodes directly below."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the features that this node itself reads."""
        return ()

    @property
    @abstractmethod
    def formula(self) -> Formula:
        """How the expression is written."""

    @abstractmethod
    def compute(self, *inputs: NDArray[Any]) -> FloatArray:
        """Return this node's value from those of its operands, and then from the features that it reads."""

    def account(self, *inputs: NDArray[Any]) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return the value with what it follows from by name, beside the values of the operands, for each row."""
        return self.compute(*inputs), {}

    @abstractmethod
    def enclose(self, *inputs: Interval) -> Interval:
        """Return this node's interval from those of its operands, and then from those of its features."""

    @abstractmethod
    def to_node(self) -> dict[str, Any]:
        """Return the node as JSON values."""

    @property
    def features(self) -> frozenset[str]:
        """The names of the features that the policy reads."""
        return frozenset(self.reads).union(*(operand.features for operand in self.operands))

    @property
    def is_pointwise(self) -> bool:
        """Whether each row is scored alone; a set-level policy scores the candidate set as a whole."""
        return all(operand.is_pointwise for operand in self.operands)

    @property
    def why_not(self) -> str:
        """Why the exact index cannot serve this policy; empty if it can."""
        if not self.is_pointwise:
            return "it scores the candidate set as a whole, and the index reads only a part of it"
        others = sorted(self.features - INDEXED_FEATURES)
        return f"the index keeps no range of {', '.join(others)}" if others else ""

    @property
    def index_servable(self) -> bool:
        """Whether the exact index can bound this policy over a block of rows."""
        return not self.why_not

    def evaluate(self, features: Mapping[str, ArrayLike]) -> FloatArray:
        """Return the score of each memory.

        Ages are features like any other: the caller, who knows ``now_s``, gives
        ``age_s = max(0, now_s - timestamp)``. A policy therefore never holds or reads a time.

        Parameters
        ----------
        features : mapping of str to array_like, shape (n,)
            At least those named by `features`; shapes broadcast. Finite; ``importance`` in [0, 1];
            ``age_s``, ``idle_s`` (seconds), ``n_recalls``, ``trace`` and ``common_level`` >= 0; ``memory_type``
            ``"episodic"`` or ``"semantic"``; ``id`` unique; ``payload.<name>`` labels, ``""`` for none.
            For a set-level policy the n rows are the candidate set.

        Returns
        -------
        ndarray of float64, shape (n,)
            Finite. Shape () for a policy that reads no feature.

        Raises
        ------
        InvalidParameterError
            Naming the feature that is missing or outside its domain, or the node that has no finite value.
        """
        return self.evaluated(features).scores

    def explain(self, features: Mapping[str, ArrayLike], row: int) -> Explanation:
        """Return the tree of values behind the score of one row.

        Parameters
        ----------
        features : mapping of str to array_like, shape (n,)
            As for `evaluate`.
        row : int
            Which memory; negative counts from the end.

        Returns
        -------
        Explanation
            Its value is the score, bit for bit; each node follows from its children.

        Raises
        ------
        InvalidParameterError
            As `evaluate`, and if there is no such row.
        """
        return self.explain_rows(features, [row])[0]

    def explain_rows(self, features: Mapping[str, ArrayLike], rows: Sequence[int]) -> tuple[Explanation, ...]:
        """Return the tree of values behind the score of each of some rows, at the cost of one evaluation.

        Parameters
        ----------
        features : mapping of str to array_like, shape (n,)
            As for `evaluate`.
        rows : sequence of int
            Which memories; negative counts from the end.

        Returns
        -------
        tuple of Explanation
            As `explain` gives them.

        Raises
        ------
        InvalidParameterError
            As `evaluate`, and if there is no such row.
        """
        return policy_evaluate.explain(self, features, rows)

    def evaluated(self, features: Mapping[str, ArrayLike]) -> Evaluation:
        """Return the score of each memory, with what explains it at no further cost.

        Parameters
        ----------
        features : mapping of str to array_like, shape (n,)
            As for `evaluate`.

        Returns
        -------
        Evaluation
            Its ``scores`` are those of `evaluate`, and its ``explain(rows)`` those of `explain_rows`.

        Raises
        ------
        InvalidParameterError
            As `evaluate`.
        """
        return policy_evaluate.Evaluation(self, features)

    def bounds(self, lower: Mapping[str, ArrayLike], upper: Mapping[str, ArrayLike]) -> tuple[FloatArray, FloatArray]:
        """Return bounds on the score of any memory whose features lie in a box.

        Parameters
        ----------
        lower, upper : mapping of str to array_like, shape (n,)
            The ends of n boxes, for each feature as for `evaluate`. The two ends of ``memory_type`` are the
            alphabetically first and last type in the box.

        Returns
        -------
        lower, upper : ndarray of float64, shape (n,)
            `evaluate` never leaves them, rounding included; infinite where no bound is known. Each feature is
            taken as free at each of its occurrences, so that bounds need not be attained.

        Raises
        ------
        InvalidParameterError
            For a feature that is missing or outside its domain, a lower end above the upper one, or a set-level
            policy: a box of rows says nothing about the other candidates.
        """
        return policy_evaluate.bound(self, lower, upper)

    def __str__(self) -> str:
        """Return the formula as Python: evaluated with the builders and curves, it gives an equal policy."""
        return self.formula.standing_alone().text

    def __repr__(self) -> str:
        return str(self)

    def latex(self) -> str:
        """Return the formula as LaTeX, for mathematics mode."""
        return self.formula.latex

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex()}$"

    @property
    def content_hash(self) -> str:
        """The SHA-256 of the canonical JSON (RFC 8785), in hexadecimal: equal for equal policies."""
        return policy_json.content_hash(self.to_node())

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as JSON values, with its version and `content_hash`."""
        return policy_json.write(self.to_node())

    def to_json(self) -> str:
        """Return the policy as canonical JSON (RFC 8785)."""
        return canonical_json.dumps(self.to_dict()).decode()

    def __add__(self, other: Operand) -> Policy:
        return self._make("+", self, other)

    def __radd__(self, other: Operand) -> Policy:
        return self._make("+", other, self)

    def __sub__(self, other: Operand) -> Policy:
        return self._make("-", self, other)

    def __rsub__(self, other: Operand) -> Policy:
        return self._make("-", other, self)

    def __mul__(self, other: Operand) -> Policy:
        return self._make("*", self, other)

    def __rmul__(self, other: Operand) -> Policy:
        return self._make("*", other, self)

    def __truediv__(self, other: Operand) -> Policy:
        return self._make("/", self, other)

    def __rtruediv__(self, other: Operand) -> Policy:
        return self._make("/", other, self)

    def __pow__(self, other: Operand) -> Policy:
        return self._make("**", self, other)

    def __rpow__(self, other: Operand) -> Policy:
        return self._make("**", other, self)

    def __neg__(self) -> Policy:
        return self._make("negative", self)

    def max(self, other: Operand) -> Policy:
        """Return the larger of this and another."""
        return self._make("max", self, other)

    def min(self, other: Operand) -> Policy:
        """Return the smaller of this and another."""
        return self._make("min", self, other)

    def exp(self) -> Policy:
        """Return e to the power of this."""
        return self._make("exp", self)

    def log(self) -> Policy:
        """Return the natural logarithm of this."""
        return self._make("log", self)

    @abstractmethod
    def clip(self, lower: float | None = None, upper: float | None = None) -> Policy:
        """Return this, held between two numbers, of which one may be absent."""

    @staticmethod
    @abstractmethod
    def _make(kind: str, *operands: Operand) -> Policy:
        """Return the node of an operator; a number among the operands becomes a constant."""


Operand: TypeAlias = Policy | float
"""What operators accept."""

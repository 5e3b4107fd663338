"""What a namespace fixes when it is made, so that no event has to decide it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from soma.errors import InvalidParameterError, SerializationError
from soma.math import importance as normalisers
from soma.math.coordinates import Frame
from soma.math.importance import Bounded
from soma.math.multiscale import ExponentialSum, power_law
from soma.math.units import YEAR
from soma.state.fields import MAX_DIMENSION, MAX_EMBEDDING, as_namespace

__all__ = ["Namespace", "Projector"]


@dataclass(frozen=True, slots=True)
class Projector:
    """How a text without a coordinate gets one: an orthogonal projection of its embedding.

    Parameters
    ----------
    seed : int
        Seed of the axes (`soma.math.projection.orthogonal_axes`), >= 0.
    embedding_dimension : int
        Dimension of the vectors projected.
    """

    seed: int
    embedding_dimension: int

    def __post_init__(self) -> None:
        if type(self.seed) is not int or not 0 <= self.seed < 2**53:
            raise InvalidParameterError("seed", self.seed, "must be an integer >= 0")
        if type(self.embedding_dimension) is not int or not 1 <= self.embedding_dimension <= MAX_EMBEDDING:
            raise InvalidParameterError(
                "embedding_dimension",
                self.embedding_dimension,
                f"must be an integer from 1 to {MAX_EMBEDDING}",
            )


@cache
def default_trace() -> ExponentialSum:
    """Return the trace constants of a namespace that names none: ACT-R's decay .5, from one second to ten years."""
    return power_law(0.5, eps=5e-3, t_min_s=1.0, t_max_s=10.0 * YEAR)


@dataclass(frozen=True, slots=True)
class Namespace:
    """The registration of a namespace: immutable for its life.

    Parameters
    ----------
    name : str
        1 to 128 letters, digits, ``.``, ``_`` and ``-``.
    dimension : int
        Dimension of the coordinates, 1 to 64.
    frame : Frame, optional
        The box that coordinates lie in; without one any finite point is accepted, and there are no cells.
    projector : Projector, optional
        Gives a coordinate to a text that comes without one.
    trace : ExponentialSum
        Constants of the memories' traces.
    importance_scale : Bounded
        Maps raw importance to [0, 1]; 0 to 10 by default.

    Raises
    ------
    InvalidParameterError
        For a field outside its domain.
    """

    name: str
    dimension: int
    frame: Frame | None = None
    projector: Projector | None = None
    trace: ExponentialSum = field(default_factory=default_trace)
    importance_scale: Bounded = field(default_factory=lambda: Bounded(0.0, 10.0))

    def __post_init__(self) -> None:
        as_namespace(self.name)
        if type(self.dimension) is not int or not 1 <= self.dimension <= MAX_DIMENSION:
            raise InvalidParameterError("dimension", self.dimension, f"must be an integer from 1 to {MAX_DIMENSION}")
        if self.frame is not None and self.frame.dimension != self.dimension:
            raise InvalidParameterError("frame", self.frame, f"must have dimension {self.dimension}")

    @property
    def levels(self) -> int:
        """Depth of the addresses: as many levels as 64 bits hold."""
        return 64 // self.dimension

    def to_dict(self) -> dict[str, Any]:
        """Return the registration as JSON values."""
        projector = self.projector
        return {
            "namespace": self.name,
            "dimension": self.dimension,
            "frame": None if self.frame is None else self.frame.to_dict(),
            "projector": None
            if projector is None
            else {"seed": projector.seed, "embedding_dimension": projector.embedding_dimension},
            "trace": self.trace.to_dict(),
            "importance_scale": self.importance_scale.to_dict(),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Namespace:
        """Return the registration that `to_dict` described.

        Raises
        ------
        SerializationError
            For a missing field, or one of another kind.
        InvalidParameterError
            For a field outside its domain.
        """
        try:
            frame, projector = fields["frame"], fields["projector"]
            scale = normalisers.from_dict(fields["importance_scale"])
            if not isinstance(scale, Bounded):
                raise InvalidParameterError("importance_scale", scale, "must be a fixed scale")
            return cls(
                fields["namespace"],
                fields["dimension"],
                None if frame is None else Frame.from_dict(frame),
                None if projector is None else Projector(projector["seed"], projector["embedding_dimension"]),
                ExponentialSum.from_dict(fields["trace"]),
                scale,
            )
        except KeyError as error:
            raise SerializationError(f"a namespace's registration lacks {error}") from None
        except TypeError as error:
            raise SerializationError(f"a namespace's registration has a field of another kind: {error}") from None

"""What the index asks of a Qdrant, whether it runs in the process or is a server; how its points look."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self
from uuid import UUID

from soma.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ABOUT_ID", "BATCH", "About", "Place", "PointOf", "QdrantEngine", "State", "other_model", "require_same"]

FORMAT: Final = 1
BATCH: Final = 256
"""Points in one request."""
ABOUT_ID: Final = 0
"""The point that says what the others are; memories have UUIDs for ids, and so never this one."""


class State:
    """What a point is: a keyword, since a match with True would find the integer 1 as well."""

    LIVE: Final = "live"
    GONE: Final = "gone"
    ABOUT: Final = "about"


class Place(NamedTuple):
    """Whose vectors, made by what: each has a collection, or a folder, of its own.

    Parameters
    ----------
    log : str
        Identity of the log that they follow from.
    namespace : str
        Of the memories.
    revision : str
        Of the embedder.
    dimension : int
        Of its vectors.
    """

    log: str
    namespace: str
    revision: str
    dimension: int

    @property
    def stem(self) -> str:
        """What the names of all revisions of one namespace begin with."""
        return f"soma-{self.log}-{self.namespace}-"

    @property
    def name(self) -> str:
        """The name of the collection, or of the folder.

        Examples
        --------
        >>> Place("c0ffee", "lab", "hashing-v1-d256", 256).name
        'soma-c0ffee-lab-4ccafa2ad267'
        """
        told = f"{self.namespace}\n{self.revision}\n{self.dimension}"
        return self.stem + hashlib.sha256(told.encode()).hexdigest()[:12]

    def is_sibling(self, name: str) -> bool:
        """Whether a name is that of the same namespace by another revision."""
        rest = name.removeprefix(self.stem)
        is_ours = name.startswith(self.stem) and len(rest) == 12 and set(rest) <= set("0123456789abcdef")
        return is_ours and name != self.name


@dataclass(frozen=True, slots=True)
class About:
    """What the points of one place are, and how far they have followed which log.

    Parameters
    ----------
    store, namespace, revision, dimension
        As in `Place`, whose log gives the store its identity.
    log : str
        The log that was followed, as `VectorIndex.follow` was told; empty before.
    position : int
        Up to where.
    format : int
        Of the points.
    """

    store: str
    namespace: str
    revision: str
    dimension: int
    log: str = ""
    position: int = 0
    format: int = FORMAT

    @classmethod
    def of(cls, place: Place) -> Self:
        """Return what is said of a place where nothing was followed yet."""
        return cls(*place)

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Self:
        """Return what a point's payload says."""
        return cls(**{name: payload[name] for name in cls.__slots__})

    def to_payload(self) -> dict[str, Any]:
        """Return it as the payload of a point."""
        return {"state": State.ABOUT, **asdict(self)}


class PointOf(NamedTuple):
    """One point: a memory that is live, the grave of one that was, or what the others are."""

    id: UUID | int
    vector: list[float]
    payload: dict[str, Any]

    @classmethod
    def live(
        cls, id: UUID, vector: NDArray[np.float32], memory_type: str, tags: Sequence[str], position: int
    ) -> PointOf:
        """Return the point of a memory: its unit vector, and what a search can be narrowed by."""
        payload = {"state": State.LIVE, "position": position, "type": memory_type, "tags": list(tags)}
        return cls(id, vector.tolist(), payload)

    @classmethod
    def gone(cls, id: UUID, dimension: int, position: int) -> PointOf:
        """Return the point that keeps a late writer from bringing a memory back; nothing of the memory is in it."""
        return cls(id, [0.0] * dimension, {"state": State.GONE, "position": position})


class QdrantEngine(Protocol):
    """The points of one place.

    Every point carries the log position that it is as of, and is replaced only by one of the same or a later position,
    each point for itself. When a call returns, what it changed is seen by every later one.
    """

    @property
    def place(self) -> Place:
        """Whose vectors."""
        ...

    @property
    def where(self) -> str:
        """Where it is, for people, without credentials."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes may change it meanwhile."""
        ...

    def about(self) -> About:
        """Return what the points are."""
        ...

    def put(self, points: Sequence[PointOf], position: int) -> None:
        """Put at most ``BATCH`` points in, as of a log position, but for those that hold a later one."""
        ...

    def nearest(
        self, vector: NDArray[np.float32], limit: int, memory_type: str | None, tags: Iterable[str]
    ) -> list[tuple[UUID, float]]:
        """Return the live memories of the greatest products with a vector, computed in float32, falling.

        If fewer than ``limit`` come, they are all that there are.
        """
        ...

    def vectors(self, ids: Sequence[UUID]) -> dict[UUID, list[float]]:
        """Return the vectors of those that are there."""
        ...

    def count_live(self) -> int:
        """Return how many memories are live."""
        ...

    def is_beyond(self, position: int) -> bool:
        """Whether any point is as of a later position."""
        ...

    def clear(self) -> None:
        """Take everything out."""
        ...

    def drop_siblings(self) -> None:
        """Remove what other revisions have left of the same namespace."""
        ...

    def close(self) -> None:
        """Release what is held; closing twice is allowed."""
        ...


def other_model(where: str, place: Place, remedy: str) -> ConfigurationError:
    """Return the error for vectors that are there by another model, and not by this one."""
    return ConfigurationError(
        f"the vectors of namespace {place.namespace} in {where} were made by another model than {place.revision}",
        f"make them again: {remedy}",
    )


def require_same(where: str, place: Place, about: About, remedy: str) -> None:
    """Raise `ConfigurationError` if points say of themselves that they are not what their place stands for."""
    for what, found, wanted in (
        ("are kept in format", about.format, FORMAT),
        ("belong to namespace", about.namespace, place.namespace),
        ("were made by", about.revision, place.revision),
        ("have dimension", about.dimension, place.dimension),
        ("follow the log of the store", about.store, place.log),
    ):
        if found != wanted:
            raise ConfigurationError(
                f"the vectors in {where} {what} {found}, and not {wanted}",
                f"remove them, and make them again: {remedy}",
            )

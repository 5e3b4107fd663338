"""Where the tests keep the vectors: every engine that there is, by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from qdrant_client import QdrantClient

from soma.stores.protocols import VectorIndex
from soma.stores.qdrant_edge import EdgeEngine
from soma.stores.qdrant_engine import Place, QdrantEngine
from soma.stores.qdrant_server import ServerEngine
from soma.stores.vectors_memory import ExactIndex
from soma.stores.vectors_qdrant import QdrantIndex

REMEDY = "soma reembed --embedder hashing"
IMITATED = (
    "ignore:Local mode performs exact:UserWarning",
    "ignore:Payload indexes have no effect in the local Qdrant:UserWarning",
)
"""What the imitation of a server says of itself."""


def swift_folder() -> Path | None:
    """Return a folder in memory, if there is one with room."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= 2**28 else None


def edge_index(folder: Path, place: Place) -> QdrantIndex:
    """Return an index over the engine itself, in process."""
    return _index(EdgeEngine(folder, place, remedy=REMEDY))


def imitated_index(client: QdrantClient, place: Place) -> QdrantIndex:
    """Return an index over ``QdrantClient(":memory:")``: it imitates a server, and is none."""
    return _index(ServerEngine(client, place, where="an imitated server", remedy=REMEDY))


def exact_index(place: Place) -> VectorIndex:
    return ExactIndex(place.dimension)


def _index(engine: QdrantEngine) -> QdrantIndex:
    try:
        return QdrantIndex(engine, remedy=REMEDY)
    except BaseException:
        engine.close()
        raise


Maker = Callable[[Place], VectorIndex]

"""Where the settings want the vectors of a namespace: in the exact index, or in a Qdrant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soma.settings import masked
from soma.stores.qdrant_edge import EdgeEngine
from soma.stores.qdrant_engine import Place
from soma.stores.qdrant_server import ServerEngine
from soma.stores.vectors_memory import ExactIndex
from soma.stores.vectors_qdrant import QdrantIndex

if TYPE_CHECKING:
    from soma.settings import Settings
    from soma.stores.protocols import VectorIndex
    from soma.stores.qdrant_engine import QdrantEngine
    from soma.stores.segment_files import SegmentFiles

__all__ = ["vector_index", "where_vectors_live"]


def vector_index(
    settings: Settings, place: Place, *, embedder: str, is_new: bool = False, files: SegmentFiles | None = None
) -> VectorIndex:
    """Return the index that the settings ask for, never another.

    Parameters
    ----------
    settings : Settings
        Of which those of Qdrant count.
    place : Place
        Whose vectors, made by what.
    embedder : str
        What the embedder is known by, for the hint of an error.
    is_new : bool
        Begin beside the vectors of another model, which is an error otherwise.
    files : SegmentFiles, optional
        Where the exact index is kept, if it is asked for; else it lives as long as the process.

    Raises
    ------
    ConfigurationError
        For a package that is missing, a server that refuses, or vectors by another model.
    StoreError
        If what is asked for cannot be reached.
    """
    remedy = f"soma reembed --embedder {embedder}"
    engine: QdrantEngine
    if settings.qdrant_path is not None:
        engine = EdgeEngine(settings.qdrant_path.expanduser(), place, remedy=remedy, is_new=is_new)
    elif settings.qdrant_url is not None:
        engine = ServerEngine.from_url(
            settings.qdrant_url, settings.qdrant_api_key, place, remedy=remedy, is_new=is_new
        )
    else:
        return ExactIndex(place.dimension, files=files)
    try:
        return QdrantIndex(engine, remedy=remedy)
    except BaseException:
        engine.close()
        raise


def where_vectors_live(settings: Settings) -> str:
    """Return in a phrase where the settings want vectors, without credentials."""
    if settings.qdrant_path is not None:
        return f"the Qdrant engine in {settings.qdrant_path}"
    if settings.qdrant_url is not None:
        return f"Qdrant at {masked(settings.qdrant_url)}"
    return "the exact index"

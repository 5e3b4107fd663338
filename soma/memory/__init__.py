"""Memory: remember, recall, forget and link over a durable store; a file for each group of verbs."""

from __future__ import annotations

from soma.memory.keeping import Keeping
from soma.memory.recalling import Recalling
from soma.memory.writing import Writing

__all__ = ["Memory"]


class Memory(Writing, Recalling, Keeping):
    """One namespace of a store: an event log, what the log has made of each memory, and an exact index.

    Every change is an event. It is in the log, on the disk, before the call returns; the index follows the log,
    also where another process wrote it. Make one with `soma.open` or `soma.create_memory`.

    Parameters
    ----------
    store : EmbeddedStore
        Where events go, and what the log has made of the namespace.
    """

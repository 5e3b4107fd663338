"""From episodes to memories: an import of the past that can be repeated and broken off without harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from soma.errors import InvalidParameterError
from soma.state.stored import EffectKind

if TYPE_CHECKING:
    from soma.ingest.episode import Episode
    from soma.memory import Memory

__all__ = ["Loaded", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many episodes an import has read.

    Parameters
    ----------
    n_new : int
        Episodes that became memories, or replaced one.
    n_known : int
        Episodes that had been imported before, as they are.
    """

    n_new: int = 0
    n_known: int = 0


def load(
    memory: Memory,
    episodes: Iterable[Episode],
    *,
    batch: int = 500,
    progress: Callable[[Loaded], None] | None = None,
) -> Loaded:
    """Store episodes as episodic memories, a batch in a transaction.

    Each event happens at its episode's own time, so that ``as_of`` finds a memory from then on. What was imported
    before has no effect; breaking off keeps the whole batches.

    Parameters
    ----------
    memory : Memory
        Where to.
    episodes : iterable of Episode
        From where.
    batch : int
        Episodes in a transaction, >= 1.
    progress : callable, optional
        Called with the counts so far after each batch.

    Returns
    -------
    Loaded
        The counts.

    Raises
    ------
    InvalidParameterError
        For a batch below 1, or an episode outside the domain of a record.
    """
    if batch < 1:
        raise InvalidParameterError("batch", batch, "must be >= 1")
    done, source = Loaded(), iter(episodes)
    while page := list(islice(source, batch)):
        drafts = [episode.to_record(memory.namespace) for episode in page]
        effects = memory.store_many(memory.place(drafts), is_history=True)
        n_known = sum(effect.kind is EffectKind.DUPLICATE for effect in effects)
        done = Loaded(done.n_new + len(effects) - n_known, done.n_known + n_known)
        if progress is not None:
            progress(done)
    return done

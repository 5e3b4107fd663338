"""What happens to memories over time: expiry and consolidation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from soma import lifecycle
from soma.errors import InvalidParameterError
from soma.lifecycle import Consolidation
from soma.memory.base import MemoryBase
from soma.state.consolidation import Scales
from soma.state.instant import Instant, to_seconds
from soma.state.record import MemoryRecord

__all__ = ["Keeping"]


class Keeping(MemoryBase):
    """Verbs of forgetting by rule."""

    def forget_expired(self) -> list[UUID]:
        """Delete the memories whose ``expires_at`` has passed, and return their ids."""
        return lifecycle.sweep(self._store)

    def consolidate(
        self,
        scales: Scales,
        *,
        now: Instant | None = None,
        dry_run: bool = False,
        summarise: Callable[[Sequence[MemoryRecord]], str] | None = None,
    ) -> Consolidation:
        """Represent old memories at coarser scales; their importance and their accesses are conserved.

        Parameters
        ----------
        scales : Scales
            From which age on, and how much coarser each band of age is.
        now : float, aware datetime or str, optional
            For a dry run: the time that ages are counted to. Without it the clock's.
        dry_run : bool
            Say what would be done, and change nothing.
        summarise : callable, optional
            Returns the text for a group of records; by default the most central of their texts.

        Returns
        -------
        Consolidation
            How many memories there were, what they became, and the new ones.

        Raises
        ------
        InvalidParameterError
            For a namespace without a frame, or with fewer levels than the scales; for another time than the present
            that is no dry run.
        """
        if now is not None and not dry_run:
            raise InvalidParameterError("now", now, "must come with dry_run: what is done is done at the present")
        now_s = self._store.clock() if now is None else to_seconds("now", now)
        return lifecycle.run_consolidation(self._store, scales, now_s=now_s, is_dry_run=dry_run, summarise=summarise)

"""What happens to memories over time: expiry and consolidation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from soma import lifecycle
from soma.archive import Archive, archive_of, restore_archive
from soma.errors import InvalidParameterError
from soma.lifecycle import Budget, Consolidation
from soma.math import policy as policies
from soma.math.units import YEAR
from soma.memory.base import MemoryBase
from soma.state.consolidation import Scales
from soma.state.duplicates import Duplicates
from soma.state.fields import as_uuid
from soma.state.forecast import Forecast, forecast
from soma.state.instant import Instant, to_seconds
from soma.state.record import MemoryRecord

if TYPE_CHECKING:
    from soma.math.policy import Policy

__all__ = ["Keeping"]


class Keeping(MemoryBase):
    """Verbs of forgetting by rule."""

    def pin(self, id: UUID | str) -> MemoryRecord:
        """Keep one memory from being evicted, consolidated or expired, and return its record.

        Raises
        ------
        NotFoundError
            If there is no such live memory.
        """
        return lifecycle.set_pinned(self._store, as_uuid("id", id), True)

    def unpin(self, id: UUID | str) -> MemoryRecord:
        """Undo `pin`, and return the record; raises as it does."""
        return lifecycle.set_pinned(self._store, as_uuid("id", id), False)

    def forecast(
        self, threshold: float = 0.05, *, policy: Policy | None = None, horizon: Instant | None = None
    ) -> Forecast:
        """Return which memories will fall under a threshold, and when, if nothing is recalled meanwhile.

        Parameters
        ----------
        threshold : float
            The score, for the query that fits a memory best.
        policy : Policy, optional
            One that never rises with time; `soma.math.presets.dense` without one.
        horizon : float, aware datetime or str, optional
            Until when; a year from now by default.

        Returns
        -------
        Forecast
            The falls by their time; pinned memories never fall, those that expire do then.

        Raises
        ------
        InvalidParameterError
            For a horizon in the past, or a policy that needs more of a query than that it fits.
        """
        now_s = self._store.clock()
        until_s = now_s + YEAR if horizon is None else to_seconds("horizon", horizon)
        with self._store.storage.reading():
            memories = self._store.storage.records.live(self.namespace)
        scored = policies.or_default(policy, has_words=False)
        return forecast(memories, scored, self.registration, threshold=threshold, now_s=now_s, horizon_s=until_s)

    def forget_expired(self, *, dry_run: bool = False) -> list[UUID]:
        """Delete the memories whose ``expires_at`` has passed, and return their ids; a dry run deletes nothing."""
        return lifecycle.forget_expired(self._store, is_dry_run=dry_run)

    def evict(self, budget: int, *, policy: Policy | None = None, dry_run: bool = False) -> list[UUID]:
        """Delete the memories of least worth until ``budget`` are left, and return their ids, the least first.

        Parameters
        ----------
        budget : int
            How many may stay, >= 0; those that are pinned stay in any case.
        policy : Policy, optional
            Worth is the score for the query that fits a memory best; `soma.math.presets.dense` without one.
        dry_run : bool
            Say which, and delete nothing.

        Raises
        ------
        InvalidParameterError
            For a budget below 0, or a policy that needs more of a query than that it fits.
        """
        return lifecycle.evict(
            self._store, Budget(budget, policies.or_default(policy, has_words=False)), is_dry_run=dry_run
        )

    @property
    def budget(self) -> Budget | None:
        """How many memories the namespace may hold after a `sweep`, and what tells their worth."""
        return lifecycle.budget_of(self._store)

    def set_budget(self, budget: int | None, *, policy: Policy | None = None) -> None:
        """Keep with the store how many memories the namespace may hold, for `sweep` to enforce; None: any number.

        Parameters
        ----------
        budget : int or None
            As for `evict`.
        policy : Policy, optional
            As for `evict`.

        Raises
        ------
        InvalidParameterError
            As `evict`.
        """
        lifecycle.set_budget(
            self._store, None if budget is None else Budget(budget, policies.or_default(policy, has_words=False))
        )

    def sweep(self, *, dry_run: bool = False) -> dict[str, list[UUID]]:
        """Delete what has expired, then what is over the budget, in one transaction.

        Parameters
        ----------
        dry_run : bool
            Say which, and delete nothing.

        Returns
        -------
        dict
            The ids that are ``"expired"``, and those that are ``"evicted"``.
        """
        return lifecycle.sweep(self._store, is_dry_run=dry_run)

    def duplicates(self, threshold: float = 0.95) -> tuple[Duplicates, ...]:
        """Return which memories say the same as another one of this namespace; see `forget_duplicates`."""
        return lifecycle.forget_duplicates(self._store, threshold=threshold, is_dry_run=True)

    def forget_duplicates(self, threshold: float = 0.95) -> tuple[Duplicates, ...]:
        """Delete the memories that say the same as another one of this namespace, which stays.

        Parameters
        ----------
        threshold : float
            The least cosine of their vectors, in (0, 1].

        Returns
        -------
        tuple of Duplicates
            What stayed, and what went; a pinned memory always stays.

        Raises
        ------
        InvalidParameterError
            For a threshold outside its domain.
        """
        return lifecycle.forget_duplicates(self._store, threshold=threshold, is_dry_run=False)

    def delete_namespace(self, name: str, *, dry_run: bool = False) -> list[UUID]:
        """Delete every memory of this namespace, and of no other; the log keeps what they were.

        Parameters
        ----------
        name : str
            The name of this namespace, written out: whoever deletes it must mean it.
        dry_run : bool
            Say which, and delete nothing.

        Returns
        -------
        list of UUID
            The memories.

        Raises
        ------
        InvalidParameterError
            For any other name.
        """
        if name != self.namespace:
            raise InvalidParameterError("name", name, f"must be the name of this namespace, {self.namespace!r}")
        return lifecycle.delete_all(self._store, is_dry_run=dry_run)

    def archive(self) -> Archive:
        """Return the whole log of this namespace, to be written to a file: `Archive.to_bytes`.

        Raises
        ------
        StoreError
            If nothing was ever stored in the namespace.
        """
        return archive_of(self._store)

    def restore_archive(
        self, archive: Archive, *, batch: int = 1_000, progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Append the events of an archive, and return how many were new; see `soma.archive.restore_archive`."""
        return restore_archive(self._store, archive, batch=batch, progress=progress)

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

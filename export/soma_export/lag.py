"""How far the store is behind the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from soma.errors import StoreBusyError
from soma_export.database import translated
from soma_export.wiring import Deployment

__all__ = ["PartitionLag", "lag_of", "wait_until_current"]


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far the store is behind one partition.

    Parameters
    ----------
    partition : int
        Its number.
    position : int
        The next offset that the store takes.
    end : int
        The offset after the last.
    delay_s : float or None
        Age of the first message that waits, by the broker's clock, seconds; None if none waits.
    """

    partition: int
    position: int
    end: int
    delay_s: float | None

    @property
    def lag(self) -> int:
        """Messages that wait."""
        return max(0, self.end - self.position)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "partition": self.partition,
            "position": self.position,
            "end": self.end,
            "lag": self.lag,
            "delay_s": self.delay_s,
        }


def lag_of(deployment: Deployment, *, clock: Callable[[], float] = time.time) -> list[PartitionLag]:
    """Return the lag of every partition.

    Parameters
    ----------
    deployment : Deployment
        Where log and store are.
    clock : callable
        Returns the time, POSIX seconds.

    Raises
    ------
    StoreBusyError
        If a server does not answer.
    """
    topic = deployment.log.required(deployment.topics.events)
    bounds = deployment.log.bounds(topic)
    with deployment.database() as store, translated():
        rows = store.execute(
            "SELECT partition, next_offset FROM cursors WHERE consumer_group = %s AND topic_id = %s",
            [deployment.group, topic.topic_id],
        )
        cursors: dict[int, int] = dict(rows.fetchall())
    found = []
    for partition, (low, high) in bounds.items():
        position = cursors.get(partition, low)
        waiting = next(deployment.log.read(topic, {partition: position}, {partition: high}), None)
        delay_s = None if waiting is None else round(max(0.0, clock() - waiting.appended_s), 3)
        found.append(PartitionLag(partition, position, high, delay_s))
    return found


def wait_until_current(deployment: Deployment, timeout_s: float) -> None:
    """Return when the store is where the log ends now.

    Parameters
    ----------
    deployment : Deployment
        Where log and store are.
    timeout_s : float
        How long to wait, seconds.

    Raises
    ------
    StoreBusyError
        If it is still behind when the time is up, or a server does not answer.
    """
    until_s = time.monotonic() + timeout_s
    while behind := sum(row.lag for row in lag_of(deployment)):
        if time.monotonic() > until_s:
            raise StoreBusyError(f"the workers are still {behind:,} messages behind after {timeout_s:.0f} s", timeout_s)
        time.sleep(0.2)

"""A lock in Redis that only its owner gives back, with a number that grows with every owner: the fence."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from soma.errors import StoreBusyError

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

__all__ = ["RedisLock"]

FIRST_WAIT_S = 0.001
LONGEST_WAIT_S = 0.05


class RedisLock:
    """One lock, held by at most one owner at a time as long as it has not expired.

    An owner that was paused until its lock expired may believe that it holds it still. So every owner has a number,
    larger than that of every owner before, and what it writes is guarded by `still_held`: the transaction fails if
    anybody has taken the lock since.

    Parameters
    ----------
    client : redis.Redis
        The server.
    name : str
        Key of the lock; the number is beside it under ``NAME:fence``.
    lasts_s : float
        After which time a lock that nobody gave back is free again, seconds, > 0.

    Notes
    -----
    Laws: ``property_tests/stores/test_storages.py``.
    """

    def __init__(self, client: Redis, name: str, *, lasts_s: float = 30.0) -> None:
        self.client = client
        self.name = name
        self.fence_name = f"{name}:fence"
        self.lasts_s = lasts_s
        self.token: bytes | None = None
        self.fence = 0

    def acquire(self, wait_s: float) -> int:
        """Take the lock and return its number.

        Parameters
        ----------
        wait_s : float
            How long to wait for another owner, seconds.

        Raises
        ------
        StoreBusyError
            If another owner kept it all that time.
        """
        token, deadline, pause_s = secrets.token_hex(16).encode(), time.monotonic() + wait_s, FIRST_WAIT_S
        while not self.client.set(self.name, token, nx=True, px=max(1, int(self.lasts_s * 1_000))):
            if time.monotonic() >= deadline:
                raise StoreBusyError(f"another process is writing to {self.name}: try again in a moment", wait_s)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_WAIT_S)
        self.token = token
        self.fence = int(self.client.incr(self.fence_name))
        return self.fence

    def still_held(self, pipe: Pipeline) -> bool:
        """Watch the lock in a pipeline, and return whether nobody has taken it since `acquire`.

        Parameters
        ----------
        pipe : redis.client.Pipeline
            Its EXEC fails from now on if anybody takes the lock before.
        """
        pipe.watch(self.name, self.fence_name)  # type: ignore[no-untyped-call]
        owner: Any = pipe.get(self.name)
        number: Any = pipe.get(self.fence_name)
        return self.token is not None and owner in (None, self.token) and int(number or 0) == self.fence

    def release(self) -> None:
        """Give the lock back if it is still this owner's; another owner's is left alone."""
        from redis import WatchError  # noqa: PLC0415 - the driver is there: a client was given

        with self.client.pipeline() as pipe:
            try:
                pipe.watch(self.name)  # type: ignore[no-untyped-call]
                owner: Any = pipe.get(self.name)
                if owner == self.token:
                    pipe.multi()
                    pipe.delete(self.name)
                    pipe.execute()
            except WatchError:
                pass  # it expired, and another has it now
        self.token = None

"""What to do when something fails: decided by pure functions, carried out by the worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import psycopg
from confluent_kafka import KafkaException

from soma.errors import InvalidParameterError, StoreBusyError

__all__ = ["Fault", "RateCap", "classify", "retry_after_s"]

FIRST_S: Final = 0.1
LONGEST_S: Final = 15.0


class Fault(StrEnum):
    """What kind of failure it was."""

    TRANSIENT = "transient"
    """A server is away or overloaded, or a transaction lost a race: the same batch may go through later."""

    ENVIRONMENT = "environment"
    """The set-up is wrong (a missing table, no permission, a full disk), and every event would fail: wait."""

    PERMANENT = "permanent"
    """One event cannot be written, whenever it is tried."""

    FATAL = "fatal"
    """Waiting mends nothing: a schema of another version, a log that was cut, a defect of ours. Stop, and say so."""


ENVIRONMENT_CLASSES: Final = ("0A", "28", "3D", "3F", "42", "53", "54", "58", "F0", "XX")
TRANSIENT_CLASSES: Final = ("08", "25", "40", "55", "57")
UNIQUE_VIOLATION: Final = "23505"


def classify(error: Exception) -> Fault:
    """Return the kind of a failure to write a batch.

    Parameters
    ----------
    error : Exception
        From the driver or from soma.

    Returns
    -------
    Fault
        ``PERMANENT`` only where the data are to blame (SQLSTATE classes 21, 22, 23 and 44).

    Examples
    --------
    >>> classify(psycopg.errors.SerializationFailure("again")).value
    'transient'
    """
    if isinstance(error, StoreBusyError):
        return Fault.TRANSIENT
    if isinstance(error, KafkaException):
        return Fault.FATAL if error.args[0].fatal() else Fault.TRANSIENT
    if isinstance(error, psycopg.Error):
        state = error.sqlstate or ""
        if state == UNIQUE_VIOLATION:  # another transaction wrote the same id meanwhile: what was loaded is old
            return Fault.TRANSIENT
        if state.startswith(ENVIRONMENT_CLASSES):
            return Fault.ENVIRONMENT
        if state.startswith(TRANSIENT_CLASSES) or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return Fault.TRANSIENT
        if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
            return Fault.PERMANENT
        return Fault.ENVIRONMENT
    return Fault.FATAL


def retry_after_s(attempt: int, jitter: float) -> float:
    """Return how long to wait before an attempt is repeated: exponential, bounded, and spread by jitter.

    Parameters
    ----------
    attempt : int
        How many have failed, >= 1.
    jitter : float
        A draw from [0, 1).

    Returns
    -------
    float
        Seconds: between half and the whole of .1, .2, .4 ... 15.

    Examples
    --------
    >>> [retry_after_s(n, 0.999999) > retry_after_s(n, 0.0) for n in (1, 5, 500)]
    [True, True, True]
    """
    if attempt < 1 or not 0 <= jitter < 1:
        raise InvalidParameterError("attempt", (attempt, jitter), "must be >= 1, with a jitter in [0, 1)")
    longest_s = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt - 1, 30))
    return longest_s * (0.5 + 0.5 * jitter)


@dataclass(frozen=True, slots=True)
class RateCap:
    """A token bucket, as a value: a burst, then a steady rate.

    Parameters
    ----------
    burst : float
        Most tokens it holds, >= 1.
    per_s : float
        Tokens gained a second, > 0.
    tokens : float
        Tokens now.
    at_s : float
        When they were counted, seconds of any steady clock.

    Examples
    --------
    >>> cap = RateCap.full(2, 1.0, at_s=0.0)
    >>> cap, wait_s = cap.take(2, at_s=0.0)
    >>> cap.take(1, at_s=0.25)[1]
    0.75
    """

    burst: float
    per_s: float
    tokens: float
    at_s: float

    @classmethod
    def full(cls, burst: float, per_s: float, *, at_s: float) -> RateCap:
        """Return a bucket that holds its burst.

        Raises
        ------
        InvalidParameterError
            For a burst below 1, or a rate that is not above 0.
        """
        if not burst >= 1 or not per_s > 0:
            raise InvalidParameterError("burst, per_s", (burst, per_s), "must be >= 1 and > 0")
        return cls(burst, per_s, burst, at_s)

    def take(self, n: int, *, at_s: float) -> tuple[RateCap, float]:
        """Take ``n`` tokens, or say how long to wait for them.

        Parameters
        ----------
        n : int
            How many; more than the burst counts as the burst.
        at_s : float
            Now.

        Returns
        -------
        cap : RateCap
            The bucket afterwards.
        wait_s : float
            0 if the tokens were taken; else nothing was, and this is when to come again, seconds.
        """
        tokens = min(self.burst, self.tokens + self.per_s * max(0.0, at_s - self.at_s))
        wanted = min(float(n), self.burst)
        if tokens >= wanted:
            return replace(self, tokens=tokens - wanted, at_s=at_s), 0.0
        return replace(self, tokens=tokens, at_s=at_s), (wanted - tokens) / self.per_s

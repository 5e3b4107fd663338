"""Laws of what is decided when something fails."""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import ConfigurationError, InvalidParameterError, StoreBusyError
from soma_export.delivery import LONGEST_S, Fault, RateCap, classify, retry_after_s

JITTER = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), JITTER)
def test_a_wait_is_positive_and_bounded(attempt: int, jitter: float) -> None:
    assert 0 < retry_after_s(attempt, jitter) <= LONGEST_S


@given(st.integers(1, 100), JITTER)
def test_a_wait_never_falls_with_the_attempt(attempt: int, jitter: float) -> None:
    assert retry_after_s(attempt, jitter) <= retry_after_s(attempt + 1, jitter)


@pytest.mark.parametrize(("attempt", "jitter"), [(0, 0.0), (1, 1.0), (1, -0.1)])
def test_an_attempt_outside_its_domain_is_refused(attempt: int, jitter: float) -> None:
    with pytest.raises(InvalidParameterError):
        retry_after_s(attempt, jitter)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (psycopg.errors.SerializationFailure(), Fault.TRANSIENT),
        (psycopg.errors.DeadlockDetected(), Fault.TRANSIENT),
        (psycopg.errors.AdminShutdown(), Fault.TRANSIENT),
        (psycopg.OperationalError("the connection is lost"), Fault.TRANSIENT),
        (psycopg.InterfaceError("the connection is closed"), Fault.TRANSIENT),
        (psycopg.errors.UniqueViolation(), Fault.TRANSIENT),
        (StoreBusyError("away", 1.0), Fault.TRANSIENT),
        (psycopg.errors.UndefinedTable(), Fault.ENVIRONMENT),
        (psycopg.errors.InsufficientPrivilege(), Fault.ENVIRONMENT),
        (psycopg.errors.DiskFull(), Fault.ENVIRONMENT),
        (psycopg.errors.TooManyConnections(), Fault.ENVIRONMENT),
        (psycopg.errors.ReadOnlySqlTransaction(), Fault.TRANSIENT),
        (psycopg.errors.NumericValueOutOfRange(), Fault.PERMANENT),
        (psycopg.errors.CheckViolation(), Fault.PERMANENT),
        (psycopg.errors.InvalidTextRepresentation(), Fault.PERMANENT),
        (psycopg.Error("of no class"), Fault.ENVIRONMENT),
        (ConfigurationError("wrong", "mend it"), Fault.FATAL),
        (AttributeError("a defect"), Fault.FATAL),
        (KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)), Fault.TRANSIENT),
        (KafkaException(KafkaError(KafkaError._FATAL, "fenced", True)), Fault.FATAL),
    ],
)
def test_only_an_event_that_is_to_blame_is_permanent(error: Exception, fault: Fault) -> None:
    assert classify(error) is fault


@given(
    st.floats(1, 100),
    st.floats(0.1, 100),
    st.lists(st.tuples(st.integers(1, 50), st.floats(0, 5)), max_size=30),
)
def test_a_cap_never_lets_through_more_than_its_burst_and_rate(
    burst: float, per_s: float, asked: list[tuple[int, float]]
) -> None:
    cap, now_s, taken = RateCap.full(burst, per_s, at_s=0.0), 0.0, 0.0
    for n, later_s in asked:
        now_s += later_s
        cap, wait_s = cap.take(n, at_s=now_s)
        assert 0 <= cap.tokens <= burst
        if wait_s == 0:
            taken += min(n, burst)
        else:
            assert cap.take(n, at_s=now_s + wait_s + 1e-6)[1] == 0
        assert taken <= burst + per_s * now_s + 1e-6


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    cap = RateCap.full(1, 1.0, at_s=10.0).take(1, at_s=10.0)[0]
    assert cap.take(1, at_s=5.0)[1] == 1.0


@pytest.mark.parametrize(("burst", "per_s"), [(0, 1.0), (1, 0.0), (float("nan"), 1.0)])
def test_a_cap_that_lets_nothing_through_is_refused(burst: float, per_s: float) -> None:
    with pytest.raises(InvalidParameterError):
        RateCap.full(burst, per_s, at_s=0.0)

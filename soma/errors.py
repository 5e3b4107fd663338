"""Errors: one root, and beside it the builtin that a stranger would catch.

An error's class tells the caller what to do: correct the call (`InvalidParameterError`,
`SerializationError`), look elsewhere (`NotFoundError`), set the system up differently
(`ConfigurationError`), or wait and try again (`StoreBusyError`, with ``retry_after_s``).
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "InvalidParameterError",
    "NotFoundError",
    "SerializationError",
    "SomaError",
    "StoreBusyError",
    "StoreError",
]


class SomaError(Exception):
    """The root of every error that soma raises on purpose."""


class InvalidParameterError(SomaError, ValueError):
    """A value lies outside the domain that a function states.

    Parameters
    ----------
    parameter : str
        Name of the argument.
    value : object
        What was given.
    requirement : str
        What is accepted, as a phrase that follows the name: ``"must be finite"``.
    """

    def __init__(self, parameter: str, value: object, requirement: str) -> None:
        super().__init__(parameter, value, requirement)
        self.parameter, self.value, self.requirement = parameter, value, requirement

    def __str__(self) -> str:
        shown = repr(self.value)
        if len(shown) > 120:
            shown = f"{shown[:117]}..."
        return f"{self.parameter} {self.requirement}, got {shown}"


class SerializationError(SomaError, ValueError):
    """Bytes that are not acceptable JSON, or a value that JSON cannot carry.

    Parameters
    ----------
    reason : str
        What is wrong, where, and what is accepted.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotFoundError(SomaError, LookupError):
    """No record, namespace or path of that name.

    Parameters
    ----------
    what : str
        The kind of thing looked for: ``"memory"``.
    key : object
        Its name.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, what: str, key: object, hint: str = "") -> None:
        super().__init__(what, key, hint)
        self.what, self.key, self.hint = what, key, hint

    def __str__(self) -> str:
        return f"no {self.what} {self.key}" + (f": {self.hint}" if self.hint else "")


class ConfigurationError(SomaError, ValueError):
    """The system is set up in a way that cannot work; the message says what to change.

    Parameters
    ----------
    problem : str
        What is configured and cannot be honoured.
    hint : str
        What to do.
    """

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem, hint)
        self.problem, self.hint = problem, hint

    def __str__(self) -> str:
        return f"{self.problem}: {self.hint}"


class StoreError(SomaError, RuntimeError):
    """A store failed, or holds something that is not soma's.

    Parameters
    ----------
    problem : str
        What failed, and what to do.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class StoreBusyError(StoreError):
    """Another process holds the writer's lock; the same call may go through later.

    Parameters
    ----------
    problem : str
        Who holds what.
    retry_after_s : float
        Seconds after which a new attempt is worth making.
    """

    def __init__(self, problem: str, retry_after_s: float) -> None:
        super().__init__(problem)
        self.args = (problem, retry_after_s)
        self.retry_after_s = retry_after_s

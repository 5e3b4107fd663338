"""What the environment says: one frozen value, whose repr shows no secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from soma.errors import ConfigurationError

__all__ = ["VARIABLES", "MemoryMode", "Settings", "Variable", "as_mode", "masked"]

DEFAULT_PATH: Final = Path("~/.local/share/soma")
CREDENTIALS: Final = re.compile(r"(?<=://).*@")


class MemoryMode(StrEnum):
    """Where memories live, and how they are written (``SOMA_MODE``)."""

    DEVELOPMENT = "DEVELOPMENT"
    TEST = "TEST"
    EVENTED_ENTERPRISE = "EVENTED_ENTERPRISE"
    CLOUD_MANAGED = "CLOUD_MANAGED"
    LEGACY_COMPAT = "LEGACY_COMPAT"


def as_mode(mode: str) -> MemoryMode:
    """Return a mode by its name.

    Parameters
    ----------
    mode : str
        As ``SOMA_MODE`` has it.

    Raises
    ------
    ConfigurationError
        For any other, naming those there are.
    """
    try:
        return MemoryMode(mode)
    except ValueError:
        known = ", ".join(m for m in MemoryMode if m is not MemoryMode.LEGACY_COMPAT)
        raise ConfigurationError(f"the mode {mode!r} is unknown", f"set SOMA_MODE to one of {known}") from None


def masked(address: str) -> str:
    """Return an address without the credentials that it may carry.

    Parameters
    ----------
    address : str
        A URL.

    Examples
    --------
    >>> masked("redis://user:secret@localhost:6379/0")
    'redis://***@localhost:6379/0'
    """
    return CREDENTIALS.sub("***@", address)


def _flag(text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off"):
        return False
    raise ValueError("must be true or false")


def _address(*schemes: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text.partition("://")[0] not in schemes:
            raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return text

    return checked


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What the environment says.

    Parameters
    ----------
    mode : MemoryMode
        ``SOMA_MODE``; ``DEVELOPMENT`` by default.
    path : Path
        ``SOMA_PATH``: the folder of the embedded store; ``~/.local/share/soma`` by default.
    namespace : str
        ``SOMA_NAMESPACE``; ``default`` by default.
    embedder : str or None
        ``SOMA_EMBEDDER``: what makes vectors of texts; by default what the store was made with.
    embedder_api_key : str or None
        ``SOMA_EMBEDDER_API_KEY``: where the embedder is a server that asks for one.
    redis_url : str or None
        ``SOMA_REDIS_URL``: keep log and records in this Redis, not in a file.
    redis_name : str
        ``SOMA_REDIS_NAME``: the store's name in that Redis; ``soma`` by default.
    qdrant_path : Path or None
        ``SOMA_QDRANT_PATH``: keep the vectors in the Qdrant engine, in process, in this folder.
    qdrant_url : str or None
        ``SOMA_QDRANT_URL``: keep the vectors in this Qdrant server.
    qdrant_api_key : str or None
        ``SOMA_QDRANT_API_KEY``.
    is_dual_write : bool
        ``SOMA_DUAL_WRITE``: also publish every event to Kafka, after it was stored.
    is_legacy_allowed : bool
        ``SOMA_ALLOW_LEGACY``: admit the mode ``LEGACY_COMPAT``.
    legacy_path : Path or None
        ``SOMA_LEGACY_PATH``: the dump of version 1 that ``LEGACY_COMPAT`` reads.

    Examples
    --------
    >>> Settings.from_environment({"SOMA_MODE": "TEST"}).mode.value
    'TEST'
    >>> "secret" in repr(Settings(redis_url="redis://user:secret@localhost", qdrant_api_key="secret"))
    False
    """

    mode: MemoryMode = MemoryMode.DEVELOPMENT
    path: Path = DEFAULT_PATH
    namespace: str = "default"
    embedder: str | None = None
    embedder_api_key: str | None = None
    redis_url: str | None = None
    redis_name: str = "soma"
    qdrant_path: Path | None = None
    qdrant_url: str | None = None
    qdrant_api_key: str | None = None
    is_dual_write: bool = False
    is_legacy_allowed: bool = False
    legacy_path: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; an empty variable counts as unset.

        Parameters
        ----------
        environment : mapping, optional
            ``os.environ`` by default.

        Raises
        ------
        ConfigurationError
            For a value outside its domain, or two settings that contradict each other.
        """
        found = os.environ if environment is None else environment
        read: dict[str, Any] = {}
        for variable in VARIABLES:
            if text := found.get(variable.name):
                read[variable.field] = variable.value(text)
        if "qdrant_path" in read and "qdrant_url" in read:
            raise ConfigurationError(
                "SOMA_QDRANT_PATH and SOMA_QDRANT_URL are both set",
                "unset the one that you do not mean: vectors live in one place",
            )
        return cls(**read)

    @property
    def has_qdrant(self) -> bool:
        """Whether vectors are kept in a Qdrant."""
        return self.qdrant_path is not None or self.qdrant_url is not None

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.shown().items())
        return f"Settings({shown})"

    def shown(self) -> dict[str, str]:
        """Return every setting as text by the name of its variable, without secrets and credentials."""
        return {variable.name: variable.shown(getattr(self, variable.field)) for variable in VARIABLES}


@dataclass(frozen=True, slots=True)
class Variable:
    """How one variable of the environment is read, and shown.

    Parameters
    ----------
    name : str
        As it is set.
    field : str
        Of `Settings`.
    read : callable
        From its text to the value, or a ValueError whose message follows the name.
    is_secret : bool
        Never shown.
    """

    name: str
    field: str
    read: Callable[[str], Any] = str
    is_secret: bool = False

    def value(self, text: str) -> Any:
        """Return what the text means, or raise `ConfigurationError`."""
        try:
            return self.read(text)
        except ConfigurationError:
            raise
        except ValueError as error:
            raise ConfigurationError(
                f"{self.name} {error}, got {self.shown(text)!r}", f"set {self.name} to such a value, or unset it"
            ) from None

    def shown(self, value: object) -> str:
        """Return a value as it may be printed."""
        if value is None:
            return "unset"
        return "***" if self.is_secret else masked(str(value))


VARIABLES: Final = (
    Variable("SOMA_MODE", "mode", as_mode),
    Variable("SOMA_PATH", "path", Path),
    Variable("SOMA_NAMESPACE", "namespace"),
    Variable("SOMA_EMBEDDER", "embedder"),
    Variable("SOMA_EMBEDDER_API_KEY", "embedder_api_key", is_secret=True),
    Variable("SOMA_REDIS_URL", "redis_url", _address("redis", "rediss", "unix")),
    Variable("SOMA_REDIS_NAME", "redis_name"),
    Variable("SOMA_QDRANT_PATH", "qdrant_path", Path),
    Variable("SOMA_QDRANT_URL", "qdrant_url", _address("http", "https")),
    Variable("SOMA_QDRANT_API_KEY", "qdrant_api_key", is_secret=True),
    Variable("SOMA_DUAL_WRITE", "is_dual_write", _flag),
    Variable("SOMA_ALLOW_LEGACY", "is_legacy_allowed", _flag),
    Variable("SOMA_LEGACY_PATH", "legacy_path", Path),
)
"""Every variable that `Settings` reads."""

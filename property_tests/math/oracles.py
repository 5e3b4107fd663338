"""Oracles that must be asked with care."""

from __future__ import annotations

import atexit
import warnings
from types import ModuleType

__all__ = ["python_actr"]


def python_actr() -> ModuleType:
    """Return its models of memory, without what importing them does besides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes in its strings that Python will refuse one day
        import python_actr as package
        from python_actr import actr
    atexit.unregister(package.finished)  # it prints, and the last line is pytest's
    module: ModuleType = actr
    return module

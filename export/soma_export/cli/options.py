"""What the commands share: the deployment that the environment names."""

from __future__ import annotations

from soma_export.settings import ExportSettings
from soma_export.wiring import Deployment

__all__ = ["deployment"]


def deployment() -> Deployment:
    """Return the deployment that the environment names."""
    return Deployment(ExportSettings.from_environment())

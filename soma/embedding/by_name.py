"""An embedder by the name that a setting, an option or a store gives it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from soma.embedding.hashing import HashingEmbedder
from soma.embedding.onnx import OnnxEmbedder
from soma.embedding.static import StaticEmbedder
from soma.errors import ConfigurationError

if TYPE_CHECKING:
    from soma.embedding.protocol import Embedder

__all__ = ["NAMES", "embedder_of"]

NAMES: Final = ("hashing", "static", "minilm")


def embedder_of(name: str) -> Embedder:
    """Return the embedder of a name.

    Parameters
    ----------
    name : str
        ``"hashing"``, ``"static"`` (extra ``embed``), ``"minilm"`` (extra ``minilm``), or a folder that holds
        ``model.onnx`` and ``tokenizer.json``.

    Raises
    ------
    ConfigurationError
        For any other name, or one whose extra is not installed.

    Examples
    --------
    >>> embedder_of("hashing").revision
    'hashing-v1-d256'
    """
    if name == "hashing":
        return HashingEmbedder()
    if name == "static":
        return StaticEmbedder()
    if name == "minilm":
        return OnnxEmbedder()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return OnnxEmbedder(folder / "model.onnx", folder / "tokenizer.json")
    raise ConfigurationError(
        f"the embedder {name!r} is unknown",
        f"choose {', '.join(NAMES)}, or a folder with model.onnx and tokenizer.json",
    )

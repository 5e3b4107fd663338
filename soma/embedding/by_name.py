"""An embedder by the name that a setting, an option or a store gives it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from soma.embedding.hashing import HashingEmbedder
from soma.embedding.http import HttpEmbedder
from soma.embedding.onnx import OnnxEmbedder
from soma.embedding.static import StaticEmbedder
from soma.errors import ConfigurationError
from soma.settings import Settings

if TYPE_CHECKING:
    from soma.embedding.protocol import Embedder

__all__ = ["NAMES", "embedder_of", "is_server"]

NAMES: Final = ("hashing", "static", "minilm")


def is_server(name: str) -> bool:
    """Whether a name is the address of a server, and is not to be taken for a folder.

    Parameters
    ----------
    name : str
        As for `embedder_of`.
    """
    return name.startswith(("http://", "https://"))


def embedder_of(name: str, *, api_key: str | None = None) -> Embedder:
    """Return the embedder of a name.

    Parameters
    ----------
    name : str
        ``"hashing"``, ``"static"`` (extra ``embed``), ``"minilm"`` (extra ``minilm``), or a folder that holds
        ``model.onnx`` and ``tokenizer.json``, or a server's ``http://HOST/PATH#MODEL`` (extra ``http``).
    api_key : str, optional
        Of the server; ``SOMA_EMBEDDER_API_KEY`` by default.

    Raises
    ------
    ConfigurationError
        For any other name, one whose extra is not installed, or a server that does not answer.
    InvalidParameterError
        For an address of another form, or one that carries credentials.

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
    if is_server(name):
        url, _, model = name.partition("#")
        return HttpEmbedder(url, model, api_key=api_key or Settings.from_environment().embedder_api_key)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return OnnxEmbedder(folder / "model.onnx", folder / "tokenizer.json")
    raise ConfigurationError(
        f"the embedder {name!r} is unknown",
        f"choose {', '.join(NAMES)}, a folder with model.onnx and tokenizer.json, or http://HOST/PATH#MODEL",
    )

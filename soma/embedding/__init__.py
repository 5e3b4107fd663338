"""Texts to vectors: hashing, which needs nothing, a static table, a transformer in ONNX form, a server, a function.

Which of them is used is the caller's word, never this folder's: an embedder whose extra is missing raises
ConfigurationError, and a caller that then takes `HashingEmbedder` says so.
"""

from __future__ import annotations

from soma.embedding.function import FunctionEmbedder
from soma.embedding.hashing import HashingEmbedder
from soma.embedding.http import HttpEmbedder
from soma.embedding.onnx import OnnxEmbedder
from soma.embedding.protocol import Embedder
from soma.embedding.records import record_vectors
from soma.embedding.static import StaticEmbedder

__all__ = [
    "Embedder",
    "FunctionEmbedder",
    "HashingEmbedder",
    "HttpEmbedder",
    "OnnxEmbedder",
    "StaticEmbedder",
    "record_vectors",
]

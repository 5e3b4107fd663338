"""Texts to vectors: hashing, which needs nothing, and a static table of meanings (extra ``embed``).

Which of them is used is the caller's word, never this folder's: `StaticEmbedder` raises ConfigurationError
where the extra is missing, and a caller that then takes `HashingEmbedder` says so.
"""

from __future__ import annotations

from soma.embedding.hashing import HashingEmbedder
from soma.embedding.protocol import Embedder
from soma.embedding.records import record_vectors
from soma.embedding.static import StaticEmbedder

__all__ = ["Embedder", "HashingEmbedder", "StaticEmbedder", "record_vectors"]

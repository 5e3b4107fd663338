"""Sources of memories: what happened elsewhere, read as episodes. Importing this folder runs nothing."""

from __future__ import annotations

from soma.ingest.commits import commits_as_memories
from soma.ingest.episode import Episode
from soma.ingest.git import Commit, read_history
from soma.ingest.load import Loaded, load

__all__ = ["Commit", "Episode", "Loaded", "commits_as_memories", "load", "read_history"]

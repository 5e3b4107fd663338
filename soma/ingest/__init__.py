"""Sources of memories: what happened elsewhere, read as episodes. Importing this folder runs nothing."""

from __future__ import annotations

from soma.ingest.chat import read_chat
from soma.ingest.commits import commits_as_memories
from soma.ingest.episode import Episode
from soma.ingest.git import Commit, read_history
from soma.ingest.jsonl import read_jsonl
from soma.ingest.legacy import LeftOut, LegacyDump, read_legacy
from soma.ingest.load import Loaded, load
from soma.ingest.locomo import read_locomo
from soma.ingest.locomo_questions import LocomoCategory, LocomoQuestion, locomo_questions
from soma.ingest.mbox import read_mbox
from soma.ingest.refusal import Refusal
from soma.ingest.rows import Fields
from soma.ingest.tables import read_csv

__all__ = [
    "Commit",
    "Episode",
    "Fields",
    "LeftOut",
    "LegacyDump",
    "Loaded",
    "LocomoCategory",
    "LocomoQuestion",
    "Refusal",
    "commits_as_memories",
    "load",
    "locomo_questions",
    "read_chat",
    "read_csv",
    "read_history",
    "read_jsonl",
    "read_legacy",
    "read_locomo",
    "read_mbox",
]

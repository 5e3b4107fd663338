"""The contract: what an event looks like on the wire, under which key and in which topic."""

from __future__ import annotations

from soma_export.contract.codec import Codec, Format, JsonFormat
from soma_export.contract.message import Message, Position
from soma_export.contract.topics import Topic, Topics, key_of

__all__ = ["Codec", "Format", "JsonFormat", "Message", "Position", "Topic", "Topics", "key_of"]

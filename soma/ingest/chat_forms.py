"""Transcripts in JSON: lists of messages, conversations with messages, and ChatGPT's trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from soma.errors import InvalidParameterError, SerializationError

__all__ = ["Conversation", "Said", "Turn", "turns_of"]

_SPEAKER = ("role", "speaker", "sender", "author")
_WORDS = ("content", "text")
_TIME = ("timestamp", "created_at", "create_time", "time")
_ID = ("id", "uuid", "message_id")
_MESSAGES = ("messages", "chat_messages")
_TITLE = ("title", "name")
_TALK_ID = ("conversation_id", "id", "uuid", "session_id", "session")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is known of all messages of a conversation.

    Parameters
    ----------
    id : str
        Its own, or one made of the file's name.
    title : str
        Empty if it has none.
    time : object
        When it began, as it is written; None if it says nothing of it.
    """

    id: str
    title: str = ""
    time: Any = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a message says.

    Parameters
    ----------
    speaker, words : str
        Who, and what; no words if it is the call of a tool or the like.
    time : object
        When, as it is written; None if it does not say.
    id : str, optional
        Its own.
    is_aside : bool
        Whether it is on a branch that was left.
    n_parts_left_out : int
        Parts that are no text.
    more : mapping
        Its other fields.
    """

    speaker: str
    words: str
    time: Any = None
    id: str | None = None
    is_aside: bool = False
    n_parts_left_out: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """A message in its place.

    Parameters
    ----------
    conversation : Conversation
        Where.
    order : int
        How many came before it.
    said : callable
        Returns what it says, or raises.
    """

    conversation: Conversation
    order: int
    said: Callable[[], Said]


def turns_of(document: Any, name: str) -> Iterator[tuple[str, Turn]]:
    """Yield the messages of a document with their places.

    Parameters
    ----------
    document : JSON value
        In one of the forms that `soma.ingest.read_chat` documents.
    name : str
        The id of a conversation that has none; numbered where there are several.

    Yields
    ------
    str
        The place.
    Turn
        The message there.

    Raises
    ------
    InvalidParameterError
        If the document has none of the forms.

    Examples
    --------
    >>> ((place, turn),) = turns_of([{"role": "user", "content": "hello"}], "chat")
    >>> place, turn.said().words
    ('message 1', 'hello')
    """
    several = document if isinstance(document, list) else [document]
    if not all(isinstance(one, dict) for one in several):
        odd = next(one for one in several if not isinstance(one, dict))
        raise InvalidParameterError("the transcript", odd, "must be a list of objects")
    is_talk = ["mapping" in one or any(key in one for key in _MESSAGES) for one in several]
    if not any(is_talk) and isinstance(document, list):
        return _turns(Conversation(name), _listed(several), "")
    if not all(is_talk):
        odd = sorted(several[is_talk.index(False)])
        raise InvalidParameterError(
            "the transcript", odd, 'must be a list of messages, or have "messages" or a "mapping"'
        )
    return _conversations(several, name)


def _conversations(talks: list[dict[str, Any]], name: str) -> Iterator[tuple[str, Turn]]:
    for i, talk in enumerate(talks, 1):
        given, title = _first(talk, _TALK_ID), _first(talk, _TITLE)
        id = str(given) if isinstance(given, str | int) and given != "" else f"{name}-{i}" if len(talks) > 1 else name
        conversation = Conversation(id, title if isinstance(title, str) else "", _first(talk, _TIME))
        yield from _turns(conversation, _grown(talk) if "mapping" in talk else _messages(talk), f"conversation {i}, ")


def _turns(
    conversation: Conversation, messages: Iterator[Callable[[], Said]], where: str
) -> Iterator[tuple[str, Turn]]:
    for order, said in enumerate(messages):
        yield f"{where}message {order + 1}", Turn(conversation, order, said)


def _messages(talk: Mapping[str, Any]) -> Iterator[Callable[[], Said]]:
    messages = _first(talk, _MESSAGES)
    if isinstance(messages, list):
        return _listed(messages)
    return _listed([messages])


def _listed(messages: list[Any]) -> Iterator[Callable[[], Said]]:
    return (partial(_said, message) for message in messages)


def _said(message: Any) -> Said:
    if not isinstance(message, dict):
        raise InvalidParameterError("the message", message, "must be an object")
    speaker, id = _first(message, _SPEAKER), _first(message, _ID)
    if isinstance(speaker, dict):  # ChatGPT's author
        speaker = speaker.get("name") or speaker.get("role")
    if not isinstance(speaker, str) or not speaker.strip():
        raise InvalidParameterError("the message", sorted(message), 'must say its speaker: a "role" or a "speaker"')
    present = [key for key in _WORDS if key in message]
    if not present:
        raise InvalidParameterError("the message", sorted(message), 'must have a "content" or a "text"')
    said = [_words(message[key]) for key in present]
    words, n_left_out = next((one for one in said if one[0].strip()), said[0])
    known = {*_SPEAKER, *_WORDS, *_TIME, *_ID}
    return Said(
        speaker=speaker.strip(),
        words=words,
        time=_first(message, _TIME),
        id=None if id is None or id == "" else str(id),
        n_parts_left_out=n_left_out,
        more={key: value for key, value in message.items() if key not in known},
    )


def _words(content: Any) -> tuple[str, int]:
    """Return the text of a message, and how many of its parts are none."""
    if content is None or isinstance(content, str):
        return content or "", 0
    if isinstance(content, dict):  # ChatGPT's content, of parts or of a text
        content = content["parts"] if isinstance(content.get("parts"), list) else [content]
    if not isinstance(content, list):
        raise InvalidParameterError("the content", content, "must be a text, or a list of parts")
    texts: list[str] = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            texts.append(text)
    return "\n".join(text for text in texts if text), len(content) - len(texts)


def _grown(talk: Mapping[str, Any]) -> Iterator[Callable[[], Said]]:
    """Yield the messages of a tree, a message before its answers; of nodes that hold none, nothing."""
    nodes = talk["mapping"]
    if not isinstance(nodes, dict) or not all(isinstance(node, dict) for node in nodes.values()):
        yield partial(_refuse, "the mapping must be an object of nodes")
        return
    shown, here = set[str](), talk.get("current_node")
    while isinstance(here, str) and here in nodes and here not in shown:
        shown.add(here)
        here = nodes[here].get("parent")
    parents = {id: node.get("parent") for id, node in nodes.items()}
    roots = [id for id, parent in parents.items() if not (isinstance(parent, str) and parent in nodes)]
    pending, seen = roots[::-1], set[str]()
    while pending:
        id = pending.pop()
        if id in seen:
            continue
        seen.add(id)
        children = nodes[id].get("children")
        named = children if isinstance(children, list) else []
        pending += [child for child in reversed(named) if isinstance(child, str) and child in nodes]
        if (message := nodes[id].get("message")) is not None:
            yield partial(_said_in_tree, message, id, bool(shown) and id not in shown)
    if len(seen) < len(nodes):
        yield partial(_refuse, f"{len(nodes) - len(seen)} nodes of the mapping hang on no root")


def _said_in_tree(message: Any, node: str, is_aside: bool) -> Said:
    said = _said(message)
    return Said(said.speaker, said.words, said.time, said.id or node, is_aside, said.n_parts_left_out)


def _refuse(reason: str) -> Said:
    raise SerializationError(reason)


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first of the fields that is there and not null."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)

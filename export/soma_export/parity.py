"""Parity: an embedded store that writes to both sides holds what the fold of the topic says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from soma.errors import StoreError
from soma.state.namespace import Namespace
from soma.state.record import Link
from soma.state.stored import Stored
from soma.stores.protocols import Storage
from soma.stores.relayed import CURSOR
from soma_export.intake import take_in
from soma_export.oracle import fold_messages
from soma_export.verify import Difference, differing_fields
from soma_export.wiring import Deployment

__all__ = ["Parity", "parity"]


@dataclass(slots=True)
class Parity:
    """What a comparison found.

    Parameters
    ----------
    n_messages : int
        How many messages of the topic were folded, those of other namespaces included.
    n_behind : int
        How many places of the store's log the relay has yet to publish.
    n_memories, n_links : int
        How many were compared.
    differences : list of Difference
        Where the store is not what the topic says.
    """

    n_messages: int = 0
    n_behind: int = 0
    n_memories: int = 0
    n_links: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether both sides say the same, and nothing is on its way."""
        return not self.differences and not self.n_behind

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "is_equal": self.is_equal,
            "messages": self.n_messages,
            "behind": self.n_behind,
            "memories": self.n_memories,
            "links": self.n_links,
            "differences": [
                {"store": d.store, "key": d.key, "kind": d.kind, "fields": list(d.fields)} for d in self.differences
            ],
        }


def parity(deployment: Deployment, storage: Storage) -> Parity:
    """Fold the topic, and compare every memory and link of the store's namespaces with it.

    Parameters
    ----------
    deployment : Deployment
        Where the topic is.
    storage : Storage
        The embedded store; nobody should be writing to it.

    Returns
    -------
    Parity
        Equal if and only if the store is the fold of the topic.

    Raises
    ------
    StoreError
        If the topic does not begin at its beginning any more.
    StoreBusyError
        If Kafka does not answer.

    Notes
    -----
    Laws: ``property_tests/export/test_relay.py``: red for what is missing, extra or altered.
    """
    topic = deployment.log.required(deployment.topics.events)
    registrations = deployment.registrations()
    registrations.refresh()
    found = Parity()
    memories: dict[tuple[str, UUID | None], Stored] = {}
    links: dict[tuple[str, UUID, UUID, str], Link] = {}
    for partition, (low, high) in deployment.log.bounds(topic).items():
        if low > 0:
            raise StoreError(f"the log begins at offset {low} of partition {partition}: its fold needs all of it")
        read = deployment.log.read(topic, {partition: 0}, {partition: high})
        skew_s = deployment.settings.max_skew_s
        taken = [(message, take_in(message, deployment.codec, registrations.get, skew_s)) for message in read]
        found.n_messages += len(taken)
        folded = fold_messages(taken, registrations, {})
        memories.update(folded.soma.memories)
        links.update(folded.links())
        found.differences += [Difference("topic", str(p.position), "altered", (p.reason,)) for p in folded.undiverted]
    with storage.reading():
        found.n_behind = storage.log.head() - int(storage.setting(CURSOR) or 0)
        for name, registration in storage.records.namespaces().items():
            event = registrations.events.get(name)
            if event is None or event.registration != registration:
                kind = "extra" if event is None else "altered"
                found.differences.append(Difference("namespaces", name, kind))
            _compare(storage, registration, memories, links, found)
    return found


def _compare(
    storage: Storage,
    namespace: Namespace,
    memories: dict[tuple[str, UUID | None], Stored],
    links: dict[tuple[str, UUID, UUID, str], Link],
    found: Parity,
) -> None:
    name = namespace.name
    expected = {id: stored for (within, id), stored in memories.items() if within == name and id is not None}
    ids = sorted(expected.keys() | {memory.record.id for memory in storage.records.live(name)})
    for id, held in zip(ids, storage.records.get(name, ids), strict=True):
        found.n_memories += 1
        key = f"{name}/{id}"
        if held is None or id not in expected:
            found.differences.append(Difference("memories", key, "missing" if held is None else "extra"))
        elif fields := differing_fields(expected[id], held):
            found.differences.append(Difference("memories", key, "altered", tuple(fields)))
    told = {(source, target, kind): link for (within, source, target, kind), link in links.items() if within == name}
    for key_of in sorted(told.keys() | {(link.source, link.target, link.type) for link in storage.records.links(name)}):
        found.n_links += 1
        kept, wanted = storage.records.link(name, *key_of), told.get(key_of)
        if kept != wanted:
            kind = "missing" if kept is None else "extra" if wanted is None else "altered"
            shown = f"{name}/{key_of[0]} to {key_of[1]} of type {key_of[2]}"
            found.differences.append(Difference("memory_links", shown, kind))

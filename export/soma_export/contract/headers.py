"""The envelope: CloudEvents 1.0 in the headers of a Kafka message (binary content mode)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from soma.errors import SerializationError
from soma.state.events import Event
from soma.state.instant import to_iso
from soma_export.contract.message import Headers

__all__ = ["SCHEMA_VERSION", "Envelope", "headers_of"]

SCHEMA_VERSION: Final = 1
"""Version of the schemas that this version writes."""

READABLE_VERSIONS: Final = frozenset({1})
SOURCE: Final = "urn:soma"
DATASCHEMA: Final = re.compile(r"urn:soma:event:(?P<type>[a-z.]+):(?P<version>[0-9]{1,9})")
TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def headers_of(event: Event, content_type: str, *, traceparent: str | None = None) -> Headers:
    """Return the headers of an event.

    Parameters
    ----------
    event : Event
        Any.
    content_type : str
        How the body is encoded.
    traceparent : str, optional
        The trace that the event belongs to (W3C Trace Context).

    Returns
    -------
    tuple of (str, bytes)
        ``ce_*``, ``content-type``, and ``cause_id`` and ``traceparent`` where there are any. ``ce_time`` is for people
        and tools: it has whole seconds; the exact time is in the body.
    """
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(event.event_id),
        "ce_type": event.type,
        "ce_source": f"{SOURCE}:{event.key[0]}",
        "ce_time": to_iso(event.at_s),
        "ce_dataschema": f"urn:soma:event:{event.type}:{SCHEMA_VERSION}",
        "content-type": content_type,
    }
    if event.cause_id is not None:
        headers["cause_id"] = str(event.cause_id)
    if traceparent is not None:
        if not TRACEPARENT.fullmatch(traceparent):
            raise SerializationError(f"traceparent {traceparent!r} is not of the form 00-trace-span-flags")
        headers["traceparent"] = traceparent
    return tuple((name, value.encode()) for name, value in headers.items())


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the headers of a message say.

    Parameters
    ----------
    event_id : str
        Identity of the event.
    type : str
        Its type.
    content_type : str
        How the body is encoded.
    cause_id : str or None
        The operation that it is part of.
    traceparent : str or None
        The trace that it belongs to.
    """

    event_id: str
    type: str
    content_type: str
    cause_id: str | None
    traceparent: str | None

    @classmethod
    def of(cls, headers: Iterable[tuple[str, bytes | None]]) -> Envelope:
        """Read the envelope.

        Raises
        ------
        SerializationError
            For a missing or repeated header, another version of CloudEvents or of the schema, or an encrypted body.
        """
        found: dict[str, str] = {}
        for name, value in headers:
            if name in found:
                raise SerializationError(f"the header {name} stands twice")
            try:
                found[name] = (value or b"").decode("utf-8")
            except UnicodeDecodeError:
                raise SerializationError(f"the header {name} is not UTF-8") from None
        missing = [name for name in ("ce_specversion", "ce_id", "ce_type", "ce_dataschema") if not found.get(name)]
        if missing:
            raise SerializationError(f"the message lacks the header {', '.join(missing)}")
        if found["ce_specversion"] != "1.0":
            raise SerializationError(f"CloudEvents {found['ce_specversion']} is unknown: write 1.0")
        if "encryption" in found:
            raise SerializationError("the body is encrypted, which this version cannot read")
        schema = DATASCHEMA.fullmatch(found["ce_dataschema"])
        if schema is None or schema["type"] != found["ce_type"]:
            raise SerializationError(f"ce_dataschema {found['ce_dataschema']!r} is not that of {found['ce_type']!r}")
        if int(schema["version"]) not in READABLE_VERSIONS:
            raise SerializationError(f"version {schema['version']} of the schema of {found['ce_type']} is unknown")
        return cls(
            event_id=found["ce_id"],
            type=found["ce_type"],
            content_type=found.get("content-type") or "application/json",
            cause_id=found.get("cause_id") or None,
            traceparent=found.get("traceparent") or None,
        )

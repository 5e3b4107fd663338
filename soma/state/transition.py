"""The fold: what a log of events makes of the state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from soma.errors import SomaError
from soma.state.events import Event, MemoryLinked, MemoryUnlinked, NamespaceRegistered
from soma.state.instant import Instant, to_seconds
from soma.state.minimal import MinimalSoma
from soma.state.stored import Effect, EffectKind, admit, evolve, evolve_link

__all__ = ["apply", "fold"]


def apply(soma: MinimalSoma, event: Event) -> tuple[MinimalSoma, Effect]:
    """Return the state after one event.

    Parameters
    ----------
    soma : MinimalSoma
        The state before; it stays as it is.
    event : Event
        What happened.

    Returns
    -------
    soma : MinimalSoma
        The state after; the same value if the event had no effect.
    effect : Effect
        What the event did. An event that was applied before is a duplicate; one that does not fit its
        namespace is refused, with the reason.

    Notes
    -----
    Laws: ``property_tests/state/test_transition.py``. Events of different records commute; applying an event
    again changes nothing.

    Examples
    --------
    >>> from soma.state.events import MemoryDeleted
    >>> gone = MemoryDeleted(event_id="00000000-0000-4000-8000-000000000001", at_s=0, namespace="default",
    ...                      id="00000000-0000-4000-8000-000000000002", reason="forgotten")
    >>> apply(MinimalSoma(dim=2), gone)[1].kind.value
    'absent'
    """
    if event.event_id in soma.seen:
        return soma, Effect(EffectKind.DUPLICATE, f"event {event.event_id} was applied before")
    if isinstance(event, NamespaceRegistered):
        changed, effect = soma.register(event.registration)
    else:
        changed, effect = _of_record(soma, event)
    if effect.kind is EffectKind.REFUSED:  # once its namespace is registered, the event may come again and count
        return soma, effect
    return replace(changed, seen=soma.seen.set(event.event_id, None)), effect


def fold(events: Iterable[Event], *, start: MinimalSoma | None = None, until_s: Instant | None = None) -> MinimalSoma:
    """Return what a log makes of a state.

    Parameters
    ----------
    events : iterable of Event
        The log, in its order.
    start : MinimalSoma, optional
        Where to begin; the empty state by default.
    until_s : float, aware datetime or str, optional
        Leave out what happened later: time travel. Registrations are constants, and always taken.

    Returns
    -------
    MinimalSoma
        The state after the last event.

    Raises
    ------
    InvalidParameterError
        For an ``until_s`` that is no instant.

    Notes
    -----
    Laws: ``property_tests/state/test_transition.py``. Folding a log in two parts is folding it whole.

    Examples
    --------
    >>> fold([]).all()
    ()
    """
    horizon = None if until_s is None else to_seconds("until_s", until_s)
    soma = MinimalSoma() if start is None else start
    for event in events:
        if horizon is None or event.at_s <= horizon or isinstance(event, NamespaceRegistered):
            soma, _ = apply(soma, event)
    return soma


def _of_record(soma: MinimalSoma, event: Event) -> tuple[MinimalSoma, Effect]:
    namespace = soma.namespaces.get(event.key[0])
    try:
        admit(event, namespace)
    except SomaError as error:
        return soma, Effect(EffectKind.REFUSED, str(error))
    assert namespace is not None  # noqa: S101 - admit has refused the event otherwise; for the type checker
    if isinstance(event, MemoryLinked | MemoryUnlinked):
        link, effect = evolve_link(soma.link(event.namespace, event.source, event.target, event.link_type), event)
        return (soma.with_link(event, link) if effect.is_change else soma), effect
    stored, effect = evolve(soma.memories.get(event.key), event, namespace)
    if stored is None or not effect.is_change:
        return soma, effect
    return replace(soma, memories=soma.memories.set(event.key, stored)), effect

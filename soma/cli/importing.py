"""How every import runs on the command line: progress, Ctrl-C between batches, and what is said at the end."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import click

from soma.cli.options import open_memory, print_json
from soma.errors import SomaError
from soma.ingest import Loaded, Refusal, load

if TYPE_CHECKING:
    from types import FrameType

    from soma.ingest import Episode

__all__ = ["OnRefusal", "refusal_option", "run_import", "run_options"]

Command = TypeVar("Command", bound=Callable[..., Any])
OnRefusal: TypeAlias = Callable[[Refusal], None]

SHOWN: Final = 5
"""How many refusals are shown; all are counted."""

refusal_option = click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do at what cannot be taken: stop, or skip it and say so.",
)


def run_options(command: Command) -> Command:
    """Add the options of every import."""
    for option in (
        click.option("--progress", is_flag=True, help="Show progress also where standard error is no terminal."),
        click.option("--dry-run", is_flag=True, help="Read and check everything, store nothing."),
    ):
        command = option(command)
    return command


class Interruptible:
    """Episodes that Ctrl-C ends: at once while the source is read, after the batch while one is stored."""

    def __init__(self, episodes: Iterator[Episode]) -> None:
        self._episodes = episodes
        self._is_reading = False
        self._is_wanted = False

    def __iter__(self) -> Iterator[Episode]:
        return self

    def __next__(self) -> Episode:
        if self._is_wanted:
            raise KeyboardInterrupt
        self._is_reading = True
        try:
            return next(self._episodes)
        finally:
            self._is_reading = False

    def _interrupt(self, *_: int | FrameType | None) -> None:
        if self._is_reading or self._is_wanted:  # a second Ctrl-C does not wait
            raise KeyboardInterrupt
        self._is_wanted = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C as said, until the context ends."""
        if threading.current_thread() is not threading.main_thread():  # only that one hears of it
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class Report:
    """What is said of an import while it runs."""

    def __init__(self, *, is_shown: bool) -> None:
        self.done = Loaded()
        self.refused: list[Refusal] = []
        self.n_refused = 0
        self._is_shown = is_shown or sys.stderr.isatty()

    def refuse(self, refusal: Refusal) -> None:
        """Count a refusal, and keep the first few."""
        self.n_refused += 1
        if self.n_refused <= SHOWN:
            self.refused.append(refusal)

    def progress(self, done: Loaded) -> None:
        """Take the counts after a batch."""
        self.done = done
        if self._is_shown:
            click.echo(f"\r{done.n_new + done.n_known:,} read, {done.n_new:,} of them new", err=True, nl=False)

    def end(self) -> None:
        """Say what was skipped."""
        if self._is_shown and self.done != Loaded():
            click.echo("", err=True)
        for refusal in self.refused:
            click.echo(f"skipped: {refusal}", err=True)
        if self.n_refused > SHOWN:
            click.echo(f"skipped: {self.n_refused - SHOWN:,} more", err=True)


def run_import(
    read: Callable[[OnRefusal | None], Iterator[Episode]],
    what: str,
    *,
    store: dict[str, Any],
    dry_run: bool,
    progress: bool,
    is_json: bool,
    on_error: str | None = None,
) -> None:
    """Read episodes and store them, or only read them; print what came of it.

    Parameters
    ----------
    read : callable
        Returns the episodes; told whom to tell of refusals, or None to raise the first.
    what : str
        What is counted: ``"messages"``.
    store : dict
        The options of the store.
    dry_run, progress, is_json : bool
        The options of those names.
    on_error : str, optional
        ``"stop"`` or ``"skip"``; None where nothing is ever refused.

    Raises
    ------
    SomaError
        For what cannot be taken; what whole batches were stored is said before.
    click.Abort
        After Ctrl-C.
    """
    report = Report(is_shown=progress)
    try:
        episodes = Interruptible(iter(read(report.refuse if on_error == "skip" else None)))
        with episodes.listening():
            if dry_run:
                counts = {"read": sum(1 for _ in episodes)}
            else:
                with open_memory(**store) as memory:
                    report.progress(load(memory, episodes, progress=report.progress))
                counts = {"new": report.done.n_new, "known": report.done.n_known}
    except (SomaError, KeyboardInterrupt) as error:
        report.end()
        if report.done.n_new or isinstance(error, KeyboardInterrupt):
            kept = f"{report.done.n_new:,} new {what} are remembered"
            click.echo(f"broken off: {kept}; the same command goes on from there", err=True)
        if isinstance(error, KeyboardInterrupt):
            raise click.Abort from None
        raise
    report.end()
    if on_error is not None:
        counts["skipped"] = report.n_refused
    if is_json:
        print_json(counts)
    elif dry_run:
        click.echo(f"{counts['read']:,} {what} read, nothing stored{_skipped(report)}")
    else:
        new, known = counts["new"], counts["known"]
        click.echo(f"{new:,} new {what} remembered, {known:,} known before{_skipped(report)}")


def _skipped(report: Report) -> str:
    return f", {report.n_refused:,} skipped" if report.n_refused else ""

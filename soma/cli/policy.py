"""``soma policy show``, ``fit`` and ``diff``: what scores, learned from reviews, and what another would recall."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from soma.cli.files import require_free, write_whole
from soma.cli.options import as_json, as_moment, open_memory, print_json, store_options
from soma.cli.sources import policy_named, presets_or_files, read_text
from soma.errors import SerializationError
from soma.math import decay
from soma.math import policy as policies
from soma.state.recall import headline

if TYPE_CHECKING:
    from soma.lab.counterfactual import Contrast
    from soma.lab.review_fits import FittedCurve

__all__ = ["policy"]

SOURCE: Final = re.compile(r"Source: (.+?)(?:[.;]\s|\.?$)", re.DOTALL)
FITTED: Final = tuple(name for name in decay.FAMILIES if name != decay.Constant.family)

out_option = click.option("--out", type=click.Path(path_type=Path), help="Write the policy to this file, as JSON.")
force_option = click.option("--force", is_flag=True, help="Replace a file that is there.")


@click.group()
def policy() -> None:
    """Read, fit and compare the expressions that score memories.

    A policy is a JSON file, or one of the names that soma policy show --presets lists.
    """


@policy.command()
@click.argument("source", metavar="[FILE|PRESET]", default="default", shell_complete=presets_or_files)
@click.option("--presets", is_flag=True, help="List the policies that have a name, with their sources, instead.")
@click.option("--latex", is_flag=True, help="Print the formula as LaTeX, and nothing else.")
@out_option
@force_option
@as_json
def show(source: str, presets: bool, latex: bool, out: Path | None, force: bool, is_json: bool) -> None:
    """Show a policy: its formula and parts, its hash, what it reads, and whether the exact index serves it."""
    if presets:
        show_presets(is_json)
        return
    shown = policy_named(source)
    if out is not None:
        save(shown, out, force)
    if is_json:
        print_json(policy_to_dict(shown))
    elif latex:
        click.echo(shown.formula.latex)
    else:
        click.echo("\n".join(tree(shown)))
        click.echo(f"\nhash   {shown.content_hash}")
        click.echo(f"reads  {', '.join(sorted(shown.features)) or 'nothing'}")
        click.echo(f"index  {'serves it exactly' if shown.index_servable else f'does not serve it: {shown.why_not}'}")


@policy.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV with card_id, review_rating and review_time, as soma bench decay reads it.",
)
@click.option("--curve", type=click.Choice(FITTED), default="power", show_default=True, help="The family of the curve.")
@click.option(
    "--into",
    default="default",
    show_default=True,
    shell_complete=presets_or_files,
    help="A file or preset: its curve is replaced.",
)
@click.option("--resamples", default=200, show_default=True, help="Of the intervals; cards are drawn whole.")
@click.option("--seed", default=0, show_default=True, help="Of the intervals.")
@out_option
@force_option
@as_json
def fit(
    data: Path,
    curve: str,
    into: str,
    resamples: int,
    seed: int,
    out: Path | None,
    force: bool,
    is_json: bool,
) -> None:
    """Fit a forgetting curve to the reviews in DATA, with intervals, and put it into a policy."""
    import numpy as np  # noqa: PLC0415 - a command loads what it needs

    from soma.lab.review_fits import fit_reviews  # noqa: PLC0415
    from soma.lab.reviews import read_reviews  # noqa: PLC0415

    base = policy_named(into)
    policies.with_curve(base, decay.Constant())  # refuse before the work
    if out is not None:
        require_free(out, force)
    rng = np.random.default_rng(seed)
    found = fit_reviews(
        read_reviews(data), curve, rng=rng, n_resamples=resamples, progress=progress if sys.stderr.isatty() else None
    )
    made = policies.with_curve(base, found.curve)
    if out is not None:
        save(made, out, force)
    if is_json:
        print_json({**found.to_dict(), "seed": seed, "policy": policy_to_dict(made), "file": out and str(out)})
        return
    show_fit(found)
    click.echo(f"\n{made}")
    if out is not None:
        click.echo(f"Written: {out}. Next:\n\n  soma recall QUERY --policy {out}")


@policy.command()
@click.argument("before", shell_complete=presets_or_files)
@click.argument("after", shell_complete=presets_or_files)
@click.option("--query", "-q", "queries", multiple=True, help="Ask both policies this; may be given several times.")
@click.option(
    "--queries",
    "queries_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of questions, one a line.",
)
@click.option("-k", default=5, show_default=True, help="How many hits at most.")
@click.option("--now", help="Count ages to this time: ISO 8601.")
@click.option("--as-of", help="Ask the memories of then: ISO 8601, or @N for a place in the log.")
@store_options
@as_json
def diff(
    before: str,
    after: str,
    queries: tuple[str, ...],
    queries_file: Path | None,
    k: int,
    now: str | None,
    as_of: str | None,
    is_json: bool,
    **store: Any,
) -> None:
    """Compare the policies BEFORE and AFTER, part by part, and what each would have recalled; nothing is written."""
    one, other = policy_named(before), policy_named(after)
    changes = policies.differences(one, other)
    asked = [*queries, *(lines_of(queries_file) if queries_file is not None else ())]
    found: tuple[Contrast, ...] = ()
    if asked:
        from soma.lab.counterfactual import contrasts  # noqa: PLC0415 - a command loads what it needs

        moment = None if as_of is None else as_moment(as_of)
        with open_memory(**store, is_read_only=True) as memory:
            found = contrasts(memory, one, other, asked, k=k, now=now, as_of=moment)
    if is_json:
        print_json(
            {
                "before": policy_to_dict(one),
                "after": policy_to_dict(other),
                "differences": [each.to_dict() for each in changes],
                "queries": [each.to_dict() for each in found],
            }
        )
        return
    click.echo(f"before  {one}\nafter   {other}\n")
    click.echo("\n".join(map(str, changes)) or "they are equal")
    for each in found:
        show_contrast(each)


def policy_to_dict(shown: policies.Policy) -> dict[str, Any]:
    """Return a policy, with what can be said of it, as JSON values."""
    return {
        "formula": str(shown),
        "latex": shown.formula.latex,
        "sha256": shown.content_hash,
        "features": sorted(shown.features),
        "index_servable": shown.index_servable,
        "why_not": shown.why_not,
        "document": shown.to_dict(),
    }


def save(made: policies.Policy, file: Path, is_forced: bool) -> None:
    """Write a policy as the JSON that soma recall --policy and the workers take."""
    require_free(file, is_forced)
    write_whole(file, made.to_json().encode())


def show_presets(is_json: bool) -> None:
    """Print every preset: its name, what it is, where it is from, and its formula."""
    rows = []
    for name, builder in policies.presets.PRESETS.items():
        told = " ".join((builder.__doc__ or "").split())
        what = told.partition(". ")[0].removeprefix("Return ").partition(" .. math::")[0].rstrip(".")
        source = SOURCE.search(told)
        rows.append(
            {
                "name": name,
                "what": what,
                "source": source[1].replace("``", "") if source else "soma",
                "formula": str(builder()),
            }
        )
    if is_json:
        print_json(rows)
        return
    for row in rows:
        click.echo("{name}\n  {what}\n  from {source}\n  {formula}".format(**row))


def tree(node: policies.Policy, first: str = "", below: str = "") -> Iterator[str]:
    """Yield the formula of a policy and, under it, of each of its parts down to the terms."""
    yield f"{first}{node}"
    parts = [part for part in node.operands if part.operands or part.reads]
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        yield from tree(part, below + ("└─ " if is_last else "├─ "), below + ("   " if is_last else "│  "))


def show_fit(found: FittedCurve) -> None:
    """Print a fitted curve: its parameters with their intervals, and how well it predicts."""
    click.echo(f"{found.fit.n:,} reviews of {found.n_items:,} cards: {found.curve}\n")
    for name, _ in found.intervals.lower:
        low, high = found.intervals[name]
        click.echo(
            f"  {name:<12}  {found.fit.params[name]:.6g}  ({found.intervals.level:.0%}: {low:.6g} to {high:.6g})"
        )
    if found.intervals.n_failed:
        click.echo(f"  {found.intervals.n_failed} of {found.intervals.n_resamples} resamples did not converge")
    verdict = "" if found.log_loss < found.base_log_loss else ": this curve says less than that"
    click.echo(f"\n  log loss      {found.log_loss:.4f}; of one probability for all {found.base_log_loss:.4f}{verdict}")


def show_contrast(found: Contrast) -> None:
    """Print what becomes of every memory in either answer to one question."""
    click.echo(
        f"\n{str(found.before.query)!r}: {found.n_shared} of {len(found.after)} are in both; "
        f"rank-biased overlap {found.agreement:.3f}"
    )
    for move in found.moves:
        old, new = ("-" if rank is None else rank for rank in (move.before, move.after))
        click.echo(f"  {old:>3} {new:>3}  {move.verb:<6}  {headline(move.record, 60)}")


def lines_of(file: Path) -> list[str]:
    """Return the questions in a file."""
    found = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    if not found:
        raise SerializationError(f"{file} holds no question: write one a line")
    return found


def progress(n_done: int, n_all: int) -> None:
    """Tell on standard error how far the resamples are."""
    click.echo(f"\r{n_done:,} of {n_all:,} resamples", nl=n_done == n_all, err=True)

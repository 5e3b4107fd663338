"""``soma bench``: published comparisons, run on your own data."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from soma.cli.options import as_json, print_json

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Compare models on data of your own, and soma with its peers."""


@bench.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV with card_id, review_rating, review_time, and review_duration if there is one.",
)
@click.option("--seed", default=0, show_default=True, help="Of the intervals.")
@as_json
def decay(data: Path, seed: int, is_json: bool) -> None:
    """Print how well each model predicts the reviews in DATA from those before them (minutes)."""
    import numpy as np  # noqa: PLC0415 - a command loads what it needs

    from soma.lab.decay_bench import leaderboard  # noqa: PLC0415
    from soma.lab.reviews import read_reviews  # noqa: PLC0415

    table = leaderboard(read_reviews(data), rng=np.random.default_rng(seed))
    if is_json:
        print_json([row.to_dict() for row in table])
        return
    click.echo(f"{'model':<16}{'params':>7}{'log loss':>10}{'rmse':>8}{'auc':>7}   behind the first (95 %)")
    for row in table:
        behind = f"{row.behind:.4f} ({row.behind_low:+.4f} to {row.behind_high:+.4f})" if row.behind else "-"
        click.echo(
            f"{row.model:<16}{row.params:>7}{row.log_loss:>10.4f}{row.rmse_bins:>8.4f}{row.auc:>7.3f}   {behind}"
        )
    click.echo(f"{table[0].n_events:,} events; each fifth of the log predicted from what was before it")


@bench.command()
@click.option("--n", default=100_000, show_default=True, help="Memories.")
@click.option("--dim", default=384, show_default=True, help="Numbers in a vector.")
@click.option(
    "--half-life-fraction",
    default=1 / 12,
    show_default="1/12",
    help="Half-life as a share of the memories' time span; inf for no decay.",
)
@click.option("--k", default=10, show_default=True, help="Hits asked for.")
@click.option("--queries", default=10, show_default=True, help="Queries.")
@click.option("--rounds", default=5, show_default=True, help="How often each query is asked of each system.")
@click.option("--system", "systems", multiple=True, help="Only these, such as numpy; else all that are installed.")
@click.option("--seed", default=0, show_default=True, help="Of the memories.")
@as_json
def recall(
    n: int,
    dim: int,
    half_life_fraction: float,
    k: int,
    queries: int,
    rounds: int,
    systems: tuple[str, ...],
    seed: int,
    is_json: bool,
) -> None:
    """Print the time of an exact recall in soma and in its peers, whose answers are compared first."""
    from soma.bench.recall_run import measure  # noqa: PLC0415 - a command loads what it needs
    from soma.bench.recall_task import RecallTask, Setting  # noqa: PLC0415

    setting = Setting(n, dim, k, half_life_fraction, n_queries=queries, seed=seed)
    found = measure(
        RecallTask.made(setting), systems, n_rounds=rounds, progress=None if is_json else partial(click.echo, err=True)
    )
    if is_json:
        print_json([row.to_dict() for row in found])
        return
    click.echo(f"{'system':<14}{'ms/query':>10}{'ratio':>8}  {'equal':<6}{'recall':>7}{'visited':>9}{'bytes/row':>11}")
    for row in found:
        visited = "-" if row.visited_fraction is None else f"{row.visited_fraction:.3f}"
        size = "-" if row.bytes_per_row is None else f"{row.bytes_per_row:,.0f}"
        click.echo(
            f"{row.system:<14}{row.ms_per_query:>10.3f}{row.ratio:>8.1f}  {'yes' if row.equal else 'no':<6}"
            f"{row.recall:>7.3f}{visited:>9}{size:>11}"
        )


@bench.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON of LoCoMo's form: samples with sample_id, conversation and qa.",
)
@click.option("--embedder", default="minilm", show_default=True, help="hashing, static, minilm, a folder or a server.")
@click.option(
    "--policy", "sources", multiple=True, help="Another system: a file or preset; may be given several times."
)
@click.option("--ablate", is_flag=True, help="Add the preset conversation without each of its terms.")
@click.option(
    "--k", "cutoffs", multiple=True, type=click.IntRange(1), help="Where recall is taken.  [default: 5 10 25 50]"
)
@click.option("--baseline", default="fused", show_default=True, help="The system that the others are compared with.")
@click.option("--by-conversation", is_flag=True, help="Intervals over conversations instead of questions.")
@click.option("--seed", default=0, show_default=True, help="Of the intervals.")
@as_json
def locomo(
    data: Path,
    embedder: str,
    sources: tuple[str, ...],
    ablate: bool,
    baseline: str,
    cutoffs: tuple[int, ...],
    by_conversation: bool,
    seed: int,
    is_json: bool,
) -> None:
    """Print how well the evidence for questions is found in the conversations in DATA (minutes).

    System soma is the preset conversation; bm25, dense, rrf, fused and recency are what it is compared with.
    """
    import numpy as np  # noqa: PLC0415 - a command loads what it needs

    from soma.bench.locomo import CUTOFFS, bench_locomo  # noqa: PLC0415
    from soma.cli.sources import policy_named  # noqa: PLC0415
    from soma.embedding.by_name import embedder_of  # noqa: PLC0415
    from soma.lab.ablation import without_each  # noqa: PLC0415
    from soma.lab.experiment import BASELINES  # noqa: PLC0415
    from soma.math import policy as policies  # noqa: PLC0415

    own = policies.presets.conversation()
    systems = {"soma": own}
    for source in sources:  # the preset dense is not the baseline dense
        systems[f"policy {source}" if source in BASELINES or source == "soma" else source] = policy_named(source)
    if ablate:
        systems |= {f"soma without {term}": rest for term, rest in without_each(own).items()}
    found = bench_locomo(
        data,
        embedder_of(embedder),
        rng=np.random.default_rng(seed),
        policies=systems,
        baseline=baseline,
        cutoffs=cutoffs or CUTOFFS,
        by_conversation=by_conversation,
        progress=show_progress if sys.stderr.isatty() else None,
    )
    rows = found.to_rows()
    if is_json:
        print_json(rows)
        return
    whole = rows[0]
    click.echo(
        f"{found.n_memories:,} turns, {whole['n_questions']:,} questions with evidence, "
        f"{whole['n_without_evidence']} without; entries of evidence: {whole['n_repaired']} repaired, "
        f"{whole['n_unresolved']} unresolved"
    )
    width = max(len(row["system"]) for row in rows) + 2
    names = [name for name in whole if f"{name}_interval" in whole]
    click.echo(f"{'system':<{width}}{'category':<13}{'n':>6}" + "".join(f"{name:>15}" for name in names) + "   ms")
    for row in rows:
        shares = "".join(f"{100 * row[name]:>15.1f}" for name in names)
        click.echo(
            f"{row['system']:<{width}}{row['category']:<13}{row['n_questions']:>6}{shares}{row['ms_per_query']:>5.1f}"
        )
    first = names[0]
    click.echo(f"\n{first} and its difference from {whole['baseline']}, with 95 % intervals")
    for row in rows:
        if row["category"] == "all":
            (low, high), (apart, least, most) = row[f"{first}_interval"], row[f"{first}_minus_baseline"]
            click.echo(
                f"{row['system']:<{width}}{100 * row[first]:5.1f} ({100 * low:.1f} to {100 * high:.1f})"
                f"   {100 * apart:+.1f} ({100 * least:+.1f} to {100 * most:+.1f})"
            )


def show_progress(what: str, done: int, total: int) -> None:
    """Show on standard error how far it is."""
    click.echo(f"\r{done:,} of {total:,} {what}", nl=done == total, err=True)

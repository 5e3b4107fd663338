"""One query over what the exact index holds: by weight where the policy is a product, else by boxes of features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from soma.math import similarity
from soma.math.topk import TopK, merge_top_k, top_k
from soma.math.weighted import Segment as Weighted
from soma.math.weighted import weighted_top_k
from soma.math.weighted_batch import weighted_top_k_batch
from soma.math.weights import Factors
from soma.state.features import Records, features
from soma.stores.segments import BLOCK, Part, Segment, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy import Policy
    from soma.math.policy_evaluate import Plan
    from soma.math.policy_product import Product
    from soma.state.namespace import Namespace
    from soma.state.query import Query

__all__ = ["Asked", "Each", "by_weight_together"]

Each: TypeAlias = Callable[..., Iterable[Any]]

NOTHING: Final = Records((), tuple)
"""What an index holds of texts and payloads."""


class Asked:
    """One query over one view.

    Parameters
    ----------
    view : View
        What there is.
    query, policy, namespace, now_s
        What is asked, what scores, and when (POSIX seconds).
    check : callable
        Raises if what is read of a segment is damaged.
    plan : Plan
        Of the policy.
    """

    def __init__(
        self,
        view: View,
        query: Query,
        policy: Policy,
        namespace: Namespace,
        now_s: float,
        check: Callable[[Segment, NDArray[np.int64] | None], None],
        plan: Plan,
    ) -> None:
        self.check, self.plan = check, plan
        self.view, self.query, self.policy, self.namespace, self.now_s = view, query, policy, namespace, now_s
        self.needed = policy.features
        self._known: list[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]] = []
        self.target = similarity.unit_vectors(np.array(query.embedding or ()))

    def features(self, columns: Any, similar: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
        """Return the features of rows with these numbers."""
        return features(self.needed, columns, NOTHING, self.query, self.namespace, self.now_s, similar)

    def exact(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Return the features of rows, their cosine computed as everywhere."""
        vectors = np.empty((len(rows), len(self.target)), dtype=np.float32)
        places = list(self.view.places(rows))
        for part, where, within in places:
            self.check(part.segment, within)
            vectors[where] = part.segment.vectors[within]
        columns = self.view.columns_at(places, len(rows), self.needed)
        return self.features(columns, similarity.cosine(self.target, vectors))

    def score(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the exact scores of rows."""
        known = self.exact(rows)
        self._known.append((rows, known))
        return np.broadcast_to(self.plan(known), rows.shape)

    def known(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Return the features of rows that were scored."""
        if not len(rows):
            return self.exact(rows)
        if len(self._known) == 1:
            ((scored, known),) = self._known
            place = {row: i for i, row in enumerate(scored.tolist())}
            chosen = [place[row] for row in rows.tolist()]
            return {name: column[chosen] for name, column in known.items()}
        scored = np.concatenate([of for of, _ in self._known])
        order = np.argsort(scored)
        at = order[np.searchsorted(scored, rows, sorter=order)]
        return {name: np.concatenate([known[name] for _, known in self._known])[at] for name in sorted(self.needed)}

    def score_from(self, start: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the exact scores of rows that are numbered from a place on."""
        return self.score(rows + start)

    def weighted(self, product: Product, lives: Sequence[NDArray[np.bool_]], *, with_codes: bool) -> list[Weighted]:
        """Return the segments with bounds of their weights, which are those of any query."""
        bounds = self._rest(product)
        now_s = dict.fromkeys(product.half_life_s, self.now_s)
        segments, first = [], 0
        for part, live, n in zip(self.view.parts, lives, self.view.n_blocks, strict=True):
            of_part = None if bounds is None else (bounds[0][first : first + n], bounds[1][first : first + n])
            weights = self._factors(part, product).at(now_s, of_part, product.top)
            segments.append(Weighted(part.segment.vectors, weights, live, part.segment.codes if with_codes else None))
            first += n
        return segments

    def _rest(self, product: Product) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return bounds of the part of the weight that is bounded by block."""
        rest = product.rest
        if rest is None or not self.view.parts:
            return None
        low, high = (
            features(rest.features, box, NOTHING, self.query, self.namespace, self.now_s, None)
            for box in self.view.boxes()
        )
        below, above = (np.broadcast_to(end, sum(self.view.n_blocks)) for end in rest.bounds(low, high))
        return below, above

    def by_weight(
        self, product: Product, lives: Sequence[NDArray[np.bool_]], k: int, is_compiled: bool, each: Each | None
    ) -> TopK:
        """Return the best where the score is similarity times weight; ``each`` lets two share the work."""
        return weighted_top_k(
            self.target,
            self.weighted(product, lives, with_codes=is_compiled),
            self.view,
            k=k,
            score=self.score,
            floor=product.floor,
            top=product.top,
            block_rows=BLOCK,
            n_hands=1 if each is None else 2,
            each=map if each is None else each,
        )

    def _factors(self, part: Part, product: Product) -> Factors:
        segment, scale = part.segment, self.namespace.importance_scale
        key = (product.fixed, tuple(product.half_life_s.items()), scale)
        kept = segment.factors.get(key)
        if kept is not None:
            return kept
        columns = segment.columns(slice(None))
        known = features(product.fixed.features, columns, NOTHING, self.query, self.namespace, self.now_s, None)
        weight = np.broadcast_to(product.fixed.evaluate(known), len(segment))
        times = {"age_s": segment.timestamp_s, "idle_s": segment.last_used_s}
        return segment.keep_factors(key, Factors.of(weight, times, product.half_life_s, BLOCK))

    def by_boxes(self, lives: Sequence[NDArray[np.bool_]], k: int, is_compiled: bool) -> TopK:
        """Return the best under any policy that can be bounded over a block."""
        view = self.view
        if not view.parts:
            return merge_top_k([], [], k)
        n_blocks = sum(view.n_blocks)
        least, greatest = (
            self.features(box, np.full(n_blocks, end)) for box, end in zip(view.boxes(), (-1.0, 1.0), strict=True)
        )
        whole = np.broadcast_to(self.policy.bounds(least, greatest)[1], n_blocks)
        firsts = np.cumsum([0, *view.n_blocks])
        parts: list[TopK] = [TopK(np.empty(0, dtype=np.int64), np.empty(0), 0, 0)] * len(view.parts)
        ids = [part.segment.ids for part in view.parts]
        bound_of = [float(whole[a:b].max()) for a, b in pairwise(firsts)]
        for i in sorted(range(len(view.parts)), key=lambda i: -bound_of[i]):
            first, start = int(firsts[i]), int(view.starts[i])

            def upper(
                rows: NDArray[np.int64],
                lowest: NDArray[np.float64],
                highest: NDArray[np.float64],
                start: int = start,
            ) -> NDArray[np.float64]:
                known = self.features(view.columns(rows + start, self.needed), highest)
                return np.broadcast_to(self.policy.bounds({**known, "similarity": lowest}, known)[1], rows.shape)

            def upper_within(
                blocks: NDArray[np.int64],
                lowest: NDArray[np.float64],
                highest: NDArray[np.float64],
                first: int = first,
            ) -> NDArray[np.float64]:
                low, high = ({name: ends[first + blocks] for name, ends in box.items()} for box in (least, greatest))
                bound = self.policy.bounds({**low, "similarity": lowest}, {**high, "similarity": highest})[1]
                return np.broadcast_to(bound, blocks.shape)

            segment = view.parts[i].segment
            parts[i] = top_k(
                self.target,
                segment.vectors,
                ids[i],
                k=k,
                score=partial(self.score_from, start),
                upper=upper,
                upper_within=upper_within,
                block_upper=whole[first : first + view.n_blocks[i]],
                block_rows=BLOCK,
                live=lives[i],
                at_least=merge_top_k(parts, ids, k).threshold(k),
                codes=segment.codes if is_compiled else None,
            )
        return merge_top_k(parts, ids, k)


def by_weight_together(
    asked: Sequence[Asked], product: Product, lives: Sequence[NDArray[np.bool_]], k: int
) -> list[TopK]:
    """Return the best for each of several queries over one view, under one policy at one time."""
    if not asked:
        return []
    return weighted_top_k_batch(
        np.stack([one.target for one in asked]),
        asked[0].weighted(product, lives, with_codes=True),
        asked[0].view,
        k=k,
        scores=[one.score for one in asked],
        floor=product.floor,
        top=product.top,
        block_rows=BLOCK,
    )

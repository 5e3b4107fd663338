"""How much two rankings agree, their tops most."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from soma.errors import InvalidParameterError

__all__ = ["rank_biased_overlap"]


def rank_biased_overlap(one: Sequence[Hashable], other: Sequence[Hashable], *, persistence: float = 0.9) -> float:
    r"""Return the share of agreement that a reader sees who goes on to the next rank with a fixed probability.

    .. math:: RBO_{ext} = \frac{1-p}{p} \left(\sum_{d=1}^{l} \frac{X_d}{d} p^d
              + \sum_{d=s+1}^{l} \frac{X_s (d-s)}{s d} p^d\right)
              + \left(\frac{X_l - X_s}{l} + \frac{X_s}{s}\right) p^l

    with :math:`X_d` the number of things in both first :math:`d`, and :math:`s \le l` the lengths.

    Parameters
    ----------
    one, other : sequence of hashable
        Rankings, the best first; each holds a thing once. They may differ in length and in what they hold.
    persistence : float, default 0.9
        Probability :math:`p` of going on, in (0, 1): with 0.9 the first ten ranks hold 86 % of the weight.

    Returns
    -------
    float
        In [0, 1]; 1 for equal rankings, and for two empty ones; what lies beyond the ends is taken to agree as before.

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Source: Webber, Moffat and Zobel, A similarity measure for indefinite rankings, TOIS 2010, equation 32. Laws:
    ``property_tests/math/test_rank_agreement.py``.

    Examples
    --------
    >>> round(rank_biased_overlap("abc", "abd"), 3), round(rank_biased_overlap("abc", "dbc"), 3)
    (0.73, 0.585)
    """
    if not 0.0 < persistence < 1.0:
        raise InvalidParameterError("persistence", persistence, "must lie in (0, 1)")
    for ranking in (one, other):
        if len(set(ranking)) < len(ranking):
            raise InvalidParameterError("ranking", list(ranking), "must hold each thing once")
    short, long = sorted((one, other), key=len)
    if not short:
        return 0.0 if long else 1.0
    p, s, n = persistence, len(short), len(long)
    seen_short: set[Hashable] = set()
    seen_long: set[Hashable] = set()
    shared, shared_short, total = 0, 0, 0.0
    for depth, thing in enumerate(long, 1):
        seen_long.add(thing)
        if depth <= s:
            seen_short.add(short[depth - 1])
            shared += short[depth - 1] in seen_long
            shared += thing in seen_short and thing != short[depth - 1]
            shared_short = shared
        else:
            shared += thing in seen_short
            total += shared_short * (depth - s) / (s * depth) * p**depth
        total += shared / depth * p**depth
    found = (1.0 - p) / p * total + ((shared - shared_short) / n + shared_short / s) * p**n
    return min(found, 1.0)

r"""Published policies, each under its name with its source: as the paper says, and as the released code computes.

A preset is an ordinary policy: print it, change it, save it. Where a system does what no term expresses, its docstring
says what is left out. All of them score every candidate, also where the original ranks a shortlist again. Read of
released code is its state in early 2026.

>>> from soma.math import policy as p
>>> len(PRESETS), PRESETS["default"]() == p.default()
(11, True)
>>> p.presets.memorybank()
similarity().clip(0) * exp(-idle_s() / (86400 * (1 + n_recalls())))

Laws of everything here, and the laws that released code breaks: ``property_tests/math/test_presets.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from soma.math import decay as curves
from soma.math.policy_builders import (
    activation,
    age_s,
    asks,
    bm25,
    decay,
    exp,
    graph,
    idle_s,
    importance,
    lexical,
    log,
    mentions,
    n_recalls,
    n_words,
    similarity,
    when,
)
from soma.math.policy_expression import Policy
from soma.math.policy_set_builders import minmax, neighbours, previous, rank, rrf
from soma.math.units import DAY

__all__ = [
    "PRESETS",
    "act_r",
    "conversation",
    "default",
    "dense",
    "generative_agents",
    "generative_agents_code",
    "hindsight",
    "memorybank",
    "memorybank_code",
    "openmemory",
    "redis",
]


def default() -> Policy:
    r"""Return soma's default: what is near in meaning or answers in words, and a little what is important and fresh.

    .. math:: \left(\tfrac12 \max(0, \mathrm{similarity}) + \tfrac12 \left(1 - \frac{4}{4 + \mathrm{bm25}}\right)\right)
              \left(\tfrac12 + \tfrac14 \mathrm{importance} + \tfrac14 (1 + \mathrm{idle}/30 d)^{-1/2}\right)

    Words count up to a half, however many answer: 4 is about the score of one rare word. The least important memory
    that has lain idle for ever keeps half of its relevance, so that old is not lost.

    Notes
    -----
    It takes a query in words. For one without, such as a coordinate, recall takes `dense`; so does what asks for the
    worth of a memory to any query, such as a forecast. It scores each memory alone, but the exact index does not serve
    it, because it keeps no words: `dense` is the default without them, for very many memories.

    Laws: ``property_tests/math/test_presets.py``.

    Examples
    --------
    >>> columns = {"similarity": [0.5, 0.5], "bm25": [4.0, 0.0], "importance": [1.0, 1.0], "idle_s": [0.0, 90 * DAY]}
    >>> default().evaluate(columns).tolist()
    [0.5, 0.21875]
    """
    relevance = 0.5 * similarity().clip(0) + 0.5 * (1 - 4 / (4 + bm25()))
    return relevance * (0.5 + 0.25 * importance() + 0.25 * _fading())


def dense() -> Policy:
    r"""Return relevance by vectors alone, half weight for importance, and fading since the last recall.

    .. math:: \max(0, \mathrm{similarity}) (1/2 + \mathrm{importance}/2) (1 + \mathrm{idle}/30 d)^{-1/2}

    A memory opposed to the query scores 0; the least important one scores half of the most important; one
    that has lain idle for 90 days, half of one just recalled. The power law fades slowly: old is not lost.

    Notes
    -----
    The exact index serves it.

    Laws: ``property_tests/math/test_presets.py``.

    Examples
    --------
    >>> dense().evaluate({"similarity": [1.0], "importance": [1.0], "idle_s": [90 * DAY]}).tolist()
    [0.5]
    """
    return similarity().clip(0) * (0.5 + 0.5 * importance()) * _fading()


def _fading() -> Policy:
    return decay(curves.Power(scale_s=30 * DAY, exponent=0.5), of=idle_s)


def conversation(group: str = "session", speaker: str = "speaker") -> Policy:
    r"""Return soma's score for turns of a dialogue: words and vectors with those of the turns around, and what they do.

    .. math:: 0.6\,\mathrm{minmax}(\mathrm{bm25}_{r = 1/2, R = 6})
              + 0.4\,\mathrm{minmax}(\mathrm{neighbours}_{r = 1/2, R = 6}(\mathrm{similarity}))
              + 0.1\,(\mathrm{mentions} + \ln(1 + \mathrm{n\_words}) - \mathrm{asks} + \mathrm{previous}(\mathrm{asks}))
              + 0.7\,\mathrm{when}

    The words of the turns around count as a turn's own, half as much for each turn further away; so does nearness in
    meaning. Better is what the speaker says who is named in the question, what says more, what follows a question, and
    what was said at a time that the question names; worse what asks one.

    Parameters
    ----------
    group : str, default "session"
        The path in the payload of what holds turns together: a sitting.
    speaker : str, default "speaker"
        The path in the payload of who speaks.

    Notes
    -----
    Neither importance nor age has a say. The weights are rounded from a fit to conversations of LoCoMo
    (``soma bench locomo`` gives its recall of evidence).

    Laws: ``property_tests/math/test_presets.py``.

    Examples
    --------
    >>> sorted(conversation().features)[:4]
    ['asks', 'bm25(ratio=0.5, reach=6, group="session")', 'mentions.speaker', 'n_words']
    """
    in_words = minmax(bm25(ratio=0.5, reach=6, group=group))
    in_meaning = minmax(neighbours(similarity(), group, ratio=0.5, reach=6))
    about = 0.6 * in_words + 0.4 * in_meaning + 0.1 * mentions(speaker)
    return about + 0.1 * log(1 + n_words()) - 0.1 * asks() + 0.1 * previous(asks(), group) + 0.7 * when()


def generative_agents() -> Policy:
    r"""Return the retrieval score of Generative Agents as the paper states it.

    .. math:: \mathrm{minmax}(0.995^{h}) + \mathrm{minmax}(\mathrm{importance}) + \mathrm{minmax}(\mathrm{similarity})

    with h the hours since the memory was last recalled: a half-life of 138 hours.

    Notes
    -----
    Source: Park et al., Generative Agents, UIST 2023, section 4.1. Importance is any number that rises with the paper's
    1 to 10 in a line; what scored it, a language model, is not part of the policy.

    Examples
    --------
    >>> columns = {"similarity": [0.2, 0.6], "importance": [0.9, 0.1], "idle_s": [0.0, 7 * DAY]}
    >>> generative_agents().evaluate(columns).tolist()
    [2.0, 1.0]
    """
    # 995/1000 an hour; written out, so that no logarithm of a platform changes the hash
    fading = decay(curves.Exponential(half_life_s=497_817.262749819), of=idle_s)
    return minmax(fading) + minmax(importance()) + minmax(similarity())


def generative_agents_code() -> Policy:
    r"""Return the retrieval score of Generative Agents as the released code computes it: the newest comes last.

    .. math:: \tfrac12 \mathrm{minmax}(0.99^{1 + r}) + 3\,\mathrm{minmax}(\mathrm{similarity})
              + 2\,\mathrm{minmax}(\mathrm{importance})

    with r the rank from the memory that was recalled **longest ago**: the code raises 0.99 to the place in a list that
    it has sorted by the last access, oldest first. `generative_agents` is what was meant.

    Notes
    -----
    Source: joonspk-research/generative_agents, ``retrieve.py`` (weights 0.5, 3 and 2) and ``scratch.py`` (0.99).
    Equal values normalise to (1 - 0)/2 there and to 0.5 here. Left out: nodes whose key says "idle" are dropped
    before; memories accessed at the same moment stand in the order of the list there, by id here.

    Examples
    --------
    >>> columns = {"similarity": [0.5, 0.5], "importance": [0.5, 0.5], "idle_s": [0.0, 7 * DAY], "id": [1, 2]}
    >>> generative_agents_code().evaluate(columns).tolist()
    [2.5, 3.0]
    """
    return 0.5 * minmax(0.99 ** (1 + rank(idle_s()))) + 3 * minmax(similarity()) + 2 * minmax(importance())


def memorybank() -> Policy:
    r"""Return similarity times the retention of MemoryBank as the paper states it.

    .. math:: \max(0, \mathrm{similarity})\, e^{-t/S}, \quad S = 1 + n

    with t the days since the last recall and n the number of recalls: each recall makes a memory last longer.

    Notes
    -----
    Source: Zhong et al., MemoryBank, AAAI 2024, section 3.3. The paper deletes at random with probability 1 - R, and
    ranks what is left by similarity; here R multiplies the similarity, which is its mean over such deletions.

    Examples
    --------
    >>> columns = {"similarity": [1.0, 1.0], "idle_s": [5 * DAY, 5 * DAY], "n_recalls": [0, 4]}
    >>> memorybank().evaluate(columns).round(4).tolist()
    [0.0067, 0.3679]
    """
    return similarity().clip(0) * exp(-idle_s() / (DAY * (1 + n_recalls())))


def memorybank_code() -> Policy:
    r"""Return similarity times the retention of MemoryBank as its released code has it: strong memories fade faster.

    .. math:: \max(0, \mathrm{similarity})\, e^{-t S/5}, \quad S = 1 + n

    The code has ``exp(-t / 5*S)`` under a comment that says the opposite. `memorybank` is what was meant.

    Notes
    -----
    Source: zhongwanjun/MemoryBank-SiliconFriend, ``forget_memory.py``. Left out, besides what `memorybank` leaves out:
    t is floored to whole days there.

    Examples
    --------
    >>> columns = {"similarity": [1.0, 1.0], "idle_s": [5 * DAY, 5 * DAY], "n_recalls": [0, 4]}
    >>> memorybank_code().evaluate(columns).round(4).tolist()
    [0.3679, 0.0067]
    """
    return similarity().clip(0) * exp(-idle_s() / DAY / 5 * (1 + n_recalls()))


def redis() -> Policy:
    r"""Return the score of Redis agent-memory-server, with its default weights.

    .. math:: 0.8\,\mathrm{similarity} + 0.2\,(0.6 \cdot 2^{-\mathrm{idle}/7 d} + 0.4 \cdot 2^{-\mathrm{age}/30 d})

    Notes
    -----
    Source: redis/agent-memory-server, ``utils/recency.py``. Left out: it ranks again only the nearest that the vector
    search returned. Importance is not read.

    Examples
    --------
    >>> redis().evaluate({"similarity": [0.5], "idle_s": [7 * DAY], "age_s": [30 * DAY]}).tolist()
    [0.5]
    """
    freshness = decay(curves.Exponential(half_life_s=7 * DAY), of=idle_s)
    novelty = decay(curves.Exponential(half_life_s=30 * DAY), of=age_s)
    return 0.8 * similarity() + 0.2 * (0.6 * freshness + 0.4 * novelty)


def openmemory(*, links: bool = False) -> Policy:
    r"""Return the score of OpenMemory.

    .. math:: \sigma\left(0.35 (1 - e^{-3\,\mathrm{similarity}}) + 0.2\,\mathrm{lexical} + 0.15\,\mathrm{graph}
              + 0.1\, e^{-t/7} (1 - t/60)\right)

    with t the days since the last recall. Its recency falls below 0 after 60 days and rises again after 67. It decays a
    salience of each memory, and never ranks by it: neither importance nor the number of recalls has a say.

    Parameters
    ----------
    links : bool, default False
        Whether the term `graph` counts; without, it is 0 for all.

    Notes
    -----
    Source: CaviraOSS/OpenMemory 1.3, ``memory/hsg.ts``. Left out: 0.2 for tags that match words of the query, the
    boost for keywords, the weights of its five sectors, and the standardisation of the scores, which keeps their order.

    Examples
    --------
    >>> openmemory().evaluate({"similarity": [0.0], "lexical": [0.0], "idle_s": [60 * DAY]}).tolist()
    [0.5]
    """
    days = idle_s() / DAY
    recency = exp(-days / 7) * (1 - days / 60)
    raw = 0.35 * (1 - exp(-3 * similarity())) + 0.2 * lexical()
    if links:
        raw = raw + 0.15 * graph()
    return 1 / (1 + exp(-(raw + 0.1 * recency)))


def hindsight() -> Policy:
    r"""Return the score of Hindsight without its cross-encoder: fused ranks with a bounded boost for what is recent.

    .. math:: \left(1 - 0.9\,\mathrm{minmax}(\mathrm{rank}(\mathrm{rrf}_{60}))\right)
              \left(1 + 0.2 (\mathrm{recency} - 0.5)\right), \quad
              \mathrm{recency} = \mathrm{clip}_{[0.1, 1]}(1 - \mathrm{age}/365 d)

    Notes
    -----
    Source: vectorize-io/hindsight 0.9, ``engine/search/reranking.py``, in the form that it takes where no cross-encoder
    is configured. Left out: the cross-encoder; in the fusion, links and dates named in the query; the boosts
    :math:`1 + 0.2(\mathrm{temporal} - 0.5)` and :math:`1 + 0.1(\mathrm{proof} - 0.5)`, which are 1 for a query without
    a date and for a fact that was not merged of several. A single candidate gets half of the range, not its top.

    Examples
    --------
    >>> columns = {"similarity": [0.9, 0.1], "lexical": [1.0, 0.0], "age_s": [0.0, 0.0], "id": [1, 2]}
    >>> hindsight().evaluate(columns).round(12).tolist()
    [1.1, 0.11]
    """
    recency = (1 - age_s() / (365 * DAY)).clip(0.1, 1)
    fused = rrf(similarity(), lexical(), k=60)
    return (1 - 0.9 * minmax(rank(fused))) * (1 + 0.2 * (recency - 0.5))


def act_r(*, mismatch_penalty: float = 1.0, links: bool = False) -> Policy:
    r"""Return ACT-R's activation: the base level of the accesses, with partial matching for the query.

    .. math:: B_i + P\,(\mathrm{similarity}_i - 1) \; \left(+ \sum_j W_j S_{ji}\right)

    Parameters
    ----------
    mismatch_penalty : float, default 1
        How much a whole unit of similarity counts :math:`P`, in log-odds.
    links : bool, default False
        Whether the activation that spreads over links, the term `graph`, is added.

    Notes
    -----
    Source: Anderson et al., An integrated theory of the mind, Psychological Review 2004; the base level is that of the
    namespace's trace, a power law as a sum of exponentials. Left out: noise, for recall is repeatable, and the
    threshold.

    Examples
    --------
    >>> act_r().evaluate({"similarity": [1.0, 0.5], "activation": [-2.0, -2.0]}).tolist()
    [-2.0, -2.5]
    """
    found = activation() + mismatch_penalty * (similarity() - 1)
    return found + graph() if links else found


PRESETS: Final[Mapping[str, Callable[[], Policy]]] = MappingProxyType(
    {
        builder.__name__: builder
        for builder in (
            default,
            dense,
            conversation,
            generative_agents,
            generative_agents_code,
            memorybank,
            memorybank_code,
            redis,
            openmemory,
            hindsight,
            act_r,
        )
    }
)
"""Every preset, by its name."""

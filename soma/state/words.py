"""The words that are searched: case, punctuation, stop words and endings taken off."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import Stemmer

from soma.math.similarity import tokens

__all__ = ["STOP_WORDS", "asks", "stems"]

_STOP: Final = """
    a about after again all also am an and any are as at be because been before being between both but by can could d
    did do does doing don down during each few for from further had has have having he her here hers herself him himself
    his how i if in into is it its itself just ll m me more most my myself no nor not now of off on once only or other
    our ours ourselves out over own re s same she should so some such t than that the their theirs them themselves then
    there these they this those through to too under until up ve very was we were what when where which while who whom
    why will with would you your yours yourself yourselves
"""

STOP_WORDS: Final = frozenset(_STOP.split())
"""English words that a question is built with and that say nothing of what it is about."""


def stems(text: str) -> tuple[str, ...]:
    """Return the words of a text that say what it is about, without their endings, in order.

    Words are those of `soma.math.similarity.tokens`: one form each, identifiers whole and in their parts. `STOP_WORDS`
    are left out, and the others lose their endings as Snowball's stemmer for English has it. A word of another language
    keeps its letters, or loses an ending that looks English: a query loses the same.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    tuple of str
        Stems, repeated as often as their words are; empty for a text of stop words alone.

    Notes
    -----
    Source: Porter, Snowball: a language for stemming algorithms, 2001. Laws: ``property_tests/state/test_words.py``.

    Examples
    --------
    >>> stems("When did you repair the flaky_tests?")
    ('repair', 'flaky_test', 'flaki', 'test')
    """
    return tuple(_stem(word) for word in tokens(text) if word not in STOP_WORDS)


@lru_cache(maxsize=2**16)
def _stem(word: str) -> str:
    stem: str = Stemmer.Stemmer("english").stemWord(word)
    return stem


def asks(text: str) -> bool:
    r"""Whether a text asks something: whether a line of it ends in a question mark, quotes and brackets left aside.

    Parameters
    ----------
    text : str
        Any text.

    Examples
    --------
    >>> asks("And then?\n(shares a photo)"), asks("Who knows. Not I")
    (True, False)
    """
    return any(line.rstrip().rstrip("\"'”’»)]*_ ").endswith(("?", "？")) for line in text.splitlines())

"""An embedding without a model: words, pairs of words and parts of words, hashed into a fixed space."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np

from soma.embedding.protocol import checked_texts
from soma.errors import InvalidParameterError
from soma.math.similarity import tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from soma.embedding.protocol import Embedding
    from soma.math.domain import FloatArray

__all__ = ["HashingEmbedder"]

_Ints: TypeAlias = "NDArray[np.int64]"
_Hashes: TypeAlias = "NDArray[np.uint64]"

# amplitudes of the three kinds of feature, on a grid of integers: float64 sums of integers are exact in any
# order, so that a vector is the same to the last bit on every machine and in every batch
_WORD, _PART, _PAIR = 65_536.0, 32_768.0, 16_384.0
_FULL_LENGTH = 6
_PART_SIZES = (3, 4, 5)
_START, _END = "\x02", "\x03"  # no word holds a control character
_BATCH_TEXTS, _BATCH_CHARACTERS = 512, 1 << 18


@dataclass(frozen=True, slots=True)
class HashingEmbedder:
    r"""Embed texts by signed feature hashing: deterministic, instant, with no model to load.

    .. math::
        x_t = \sum_{f} s(f)\, a(f) \sqrt{n_t(f)}\; u_{b(f)}, \qquad e_t = x_t / \lVert x_t \rVert

    over the features :math:`f` of the text :math:`t`: its words, with :math:`a = \ell`; for each distinct
    word the runs of 3 to 5 characters of that word with its ends marked, :math:`a = \ell / 2`; and its pairs
    of neighbouring words, :math:`a = 1/4`. Here :math:`\ell = \min(L, 6) / 6` for a word of :math:`L`
    characters: frequent words are short, so length stands in for rarity, which needs a corpus. :math:`n_t`
    counts the word or the pair in the text; the hash gives the sign :math:`s` and the axis :math:`u_b`. The
    inner product of two texts is, up to collisions of variance :math:`O(1/d)`, the overlap of their features:
    words that share a stem are near, synonyms are not.

    Parameters
    ----------
    dimension : int
        Length of the vectors :math:`d`, 8 to 65,536.

    Raises
    ------
    InvalidParameterError
        If ``dimension`` is no such int.

    Notes
    -----
    Source: Weinberger et al. (2009), *Feature hashing for large scale multitask learning*; character parts as
    in fastText (Bojanowski et al., 2017). The same text gives the same bits in every process, on every
    machine, in any batch; a change of the function must change the number in ``revision``.
    Laws: ``property_tests/stores/test_embedding.py``.

    Examples
    --------
    >>> hashing = HashingEmbedder()
    >>> hashing.revision
    'hashing-v1-d256'
    >>> a, b, c = hashing.embed(["decay of memories", "a memory decays", "kubernetes"])
    >>> bool(a @ b > a @ c)
    True
    """

    dimension: int = 256
    name: ClassVar[str] = "hashing"

    def __post_init__(self) -> None:
        if not isinstance(self.dimension, int) or not 8 <= self.dimension <= 65_536:
            raise InvalidParameterError("dimension", self.dimension, "must be an int from 8 to 65,536")

    @property
    def revision(self) -> str:
        """The exact function: version and dimension."""
        return f"hashing-v1-d{self.dimension}"

    def embed(self, texts: Sequence[str]) -> Embedding:
        """Return one unit vector per text; see `Embedder.embed`.

        Parameters
        ----------
        texts : sequence of str, length n
            Any text; a lone surrogate counts as U+FFFD.

        Returns
        -------
        ndarray of float32, shape (n, dimension)
            Unit rows; zeros for a text without a word.

        Raises
        ------
        InvalidParameterError
            If ``texts`` is one string, or holds anything but strings.

        Notes
        -----
        Laws: ``property_tests/stores/test_embedding.py``.

        Examples
        --------
        >>> HashingEmbedder(8).embed(["one", "..."]).any(axis=1).tolist()
        [True, False]
        """
        checked = checked_texts(texts)
        embedded = np.zeros((len(checked), self.dimension), dtype=np.float32)
        row = 0
        for batch in _batches(checked):
            sums = self._sums([tokens(text) for text in batch])
            # not math.similarity.unit_vectors: its scaling would end the exactness of the integers
            lengths = np.sqrt(np.square(sums).sum(axis=1, keepdims=True))
            embedded[row : row + len(batch)] = sums / np.where(lengths > 0.0, lengths, 1.0)
            row += len(batch)
        return embedded

    def _sums(self, texts: list[Sequence[str]]) -> FloatArray:
        vocabulary: dict[str, int] = {}
        words = np.array([vocabulary.setdefault(w, len(vocabulary)) for text in texts for w in text], np.int64)
        if not words.size:
            return np.zeros((len(texts), self.dimension))
        owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        grid = np.zeros(len(texts) * self.dimension)
        for text, hashes, amplitude in _features(list(vocabulary), owner, words):
            axis = text * self.dimension + ((hashes >> np.uint64(1)) % np.uint64(self.dimension)).astype(np.int64)
            signed = np.where(hashes & np.uint64(1), amplitude, -amplitude)
            grid += np.bincount(axis, weights=np.rint(signed), minlength=grid.size)
        return grid.reshape(len(texts), self.dimension)


def _batches(texts: list[str]) -> Iterator[list[str]]:
    """Bound the memory of one step by texts and by characters."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == _BATCH_TEXTS or size + len(text) > _BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _features(vocabulary: list[str], owner: _Ints, words: _Ints) -> Iterator[tuple[_Ints, _Hashes, FloatArray]]:
    """Yield (text, hash, amplitude) of all words, then all parts of words, then all pairs."""
    size = len(vocabulary)
    digests = b"".join(blake2b(word.encode(), digest_size=8).digest() for word in vocabulary)
    word_hashes = np.frombuffer(digests, dtype="<u8").astype(np.uint64)

    keys, counts = np.unique(owner * size + words, return_counts=True)
    text, word = np.divmod(keys, size)
    lengths = np.array([len(w) for w in vocabulary])[word]
    weight = np.minimum(lengths, _FULL_LENGTH) / _FULL_LENGTH * np.sqrt(counts)
    yield text, word_hashes[word], _WORD * weight

    start, n_parts, part_hashes = _parts(vocabulary)
    repeats = n_parts[word]
    part = np.arange(repeats.sum()) + np.repeat(start[word] - (np.cumsum(repeats) - repeats), repeats)
    yield np.repeat(text, repeats), part_hashes[part], _PART * np.repeat(weight, repeats)

    follows = owner[1:] == owner[:-1]
    keys, counts = np.unique((owner * size + words)[:-1][follows] * size + words[1:][follows], return_counts=True)
    text_and_first, second = np.divmod(keys, size)
    text, first = np.divmod(text_and_first, size)
    # the multiplier makes the pair ordered: "a b" is not "b a"
    pair_hashes = _mixed(word_hashes[first] * np.uint64(0x9E3779B97F4A7C15) + word_hashes[second])
    yield text, pair_hashes, _PAIR * np.sqrt(counts)


def _parts(vocabulary: list[str]) -> tuple[_Ints, _Ints, _Hashes]:
    """Hash the runs of characters of each word: where a word's parts start, how many it has, all hashes."""
    marked = f"{_START}{f'{_END}{_START}'.join(vocabulary)}{_END}"
    codes = np.frombuffer(marked.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    word = np.repeat(np.arange(len(vocabulary)), [len(w) + 2 for w in vocabulary])
    rolling = np.full(codes.size, 0xCBF29CE484222325, dtype=np.uint64)  # FNV-1a, over code points
    owners, hashes = [], []
    for n in range(1, max(_PART_SIZES) + 1):
        n_runs = max(codes.size - n + 1, 0)
        rolling = (rolling[:n_runs] ^ codes[n - 1 :]) * np.uint64(0x100000001B3)
        if n in _PART_SIZES:
            inside = word[:n_runs] == word[n - 1 :]
            owners.append(word[:n_runs][inside])
            hashes.append(_mixed(rolling[inside]))
    owner = np.concatenate(owners)
    n_parts = np.bincount(owner, minlength=len(vocabulary))
    order = np.argsort(owner, kind="stable")  # a merge of sorted runs, one for each size
    return np.cumsum(n_parts) - n_parts, n_parts, np.concatenate(hashes)[order]


def _mixed(hashes: _Hashes) -> _Hashes:
    """Spread every bit over all 64 (the finaliser of MurmurHash3)."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return hashes ^ (hashes >> np.uint64(33))

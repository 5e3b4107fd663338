"""An embedding from a static table: the mean of the vectors of a text's tokens, from two local files."""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soma.embedding.protocol import checked_texts
from soma.errors import ConfigurationError
from soma.math.similarity import unit_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from tokenizers import Tokenizer

    from soma.embedding.protocol import Embedding

__all__ = ["StaticEmbedder"]

_INSTALL = 'run `pip install "soma-fractal-memory[embed]"`'
_WORDLLAMA = "wordllama-l2-supercat-256"
_WORDLLAMA_TABLE = Path("weights", "l2_supercat_256.safetensors")
_WORDLLAMA_TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")
_BATCH_TEXTS = 1_024


class StaticEmbedder:
    r"""Embed texts by the mean of static token vectors: close in meaning, without a network or a GPU.

    .. math:: e_t = m_t / \lVert m_t \rVert, \qquad m_t = \frac{1}{n_t} \sum_{i=1}^{n_t} E_{\tau_i(t)}

    where :math:`\tau(t)` are the tokens of the text, all of them, without special tokens, and :math:`E` is
    the table. By default the table and the tokenizer are the two files inside the installed ``wordllama``
    wheel (MIT, 32,000 x 256); they are read as files, and the package is never imported.

    Parameters
    ----------
    table : path, optional
        A safetensors file with one matrix, shape (tokens, d); with ``tokenizer``, replaces wordllama's.
    tokenizer : path, optional
        A ``tokenizer.json`` of the ``tokenizers`` library; its padding and truncation are switched off.

    Attributes
    ----------
    name : str
        ``"wordllama-l2-supercat-256"``, or the table's file name without its suffix.
    revision : str
        ``name@`` and the first 12 hex digits of the SHA-256 of the table's bytes, then the tokenizer's.
    dimension : int
        Length of the vectors :math:`d`.

    Raises
    ------
    ConfigurationError
        If the extra ``embed`` is not installed, only one path is given, or a file is missing, malformed, or
        does not fit the other.

    Notes
    -----
    Laws: ``property_tests/stores/test_embedding.py``.

    Examples
    --------
    >>> static = StaticEmbedder()
    >>> a, b, c = static.embed(["repair the clock", "fix a timing bug", "bake a cake"])
    >>> bool(a @ b > a @ c)
    True
    """

    __slots__ = ("_table", "_tokenizer", "dimension", "name", "revision")

    def __init__(self, table: str | PathLike[str] | None = None, tokenizer: str | PathLike[str] | None = None) -> None:
        if (table is None) != (tokenizer is None):
            raise ConfigurationError(
                "a table of vectors fits one tokenizer only", "give both paths, or neither for wordllama's"
            )
        if table is None or tokenizer is None:
            package = _wordllama_folder()
            table_path, tokenizer_path = package / _WORDLLAMA_TABLE, package / _WORDLLAMA_TOKENIZER
            self.name = _WORDLLAMA
        else:
            table_path, tokenizer_path = Path(table), Path(tokenizer)
            self.name = table_path.stem
        table_bytes, tokenizer_bytes = _content(table_path), _content(tokenizer_path)
        self._table = _parsed_table(table_path, table_bytes)
        self._tokenizer = _parsed_tokenizer(tokenizer_path, tokenizer_bytes)
        n_vectors, self.dimension = self._table.shape
        if max(self._tokenizer.get_vocab().values(), default=-1) >= n_vectors:
            raise ConfigurationError(
                f"{tokenizer_path.name} has tokens beyond the {n_vectors} vectors of {table_path.name}",
                "give the tokenizer that the table was made with",
            )
        self.revision = f"{self.name}@{sha256(table_bytes + tokenizer_bytes).hexdigest()[:12]}"

    def __repr__(self) -> str:
        return f"StaticEmbedder({self.revision!r})"

    def embed(self, texts: Sequence[str]) -> Embedding:
        """Return one unit vector per text; see `Embedder.embed`.

        Parameters
        ----------
        texts : sequence of str, length n
            Any text, of any length; a lone surrogate counts as U+FFFD.

        Returns
        -------
        ndarray of float32, shape (n, dimension)
            Unit rows; zeros for blank text.

        Raises
        ------
        InvalidParameterError
            If ``texts`` is one string, or holds anything but strings.

        Notes
        -----
        Laws: ``property_tests/stores/test_embedding.py``.

        Examples
        --------
        >>> StaticEmbedder().embed(["one", " "]).any(axis=1).tolist()
        [True, False]
        """
        from scipy.sparse import csr_array  # noqa: PLC0415 - scipy is loaded on first use

        # white space has tokens too, but no meaning
        checked = ["" if text.isspace() else text for text in checked_texts(texts)]
        embedded = np.zeros((len(checked), self.dimension), dtype=np.float32)
        for row in range(0, len(checked), _BATCH_TEXTS):
            batch = checked[row : row + _BATCH_TEXTS]
            encoded = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            tokens = [encoding.ids for encoding in encoded]
            ends = np.cumsum([0, *map(len, tokens)])
            columns = np.fromiter(chain.from_iterable(tokens), dtype=np.int64, count=ends[-1])
            counts = csr_array(
                (np.ones(columns.size, dtype=np.float32), columns, ends), shape=(len(batch), len(self._table))
            )
            # the sum and the mean have one direction
            embedded[row : row + len(batch)] = unit_vectors(counts @ self._table)
        return embedded


def _wordllama_folder() -> Path:
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("wordllama, which holds the static table, is not installed", _INSTALL)
    return Path(spec.submodule_search_locations[0])


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(
            f"cannot read {path} ({exc.strerror})", f"give the path of a file, or {_INSTALL}"
        ) from exc


def _parsed_table(path: Path, content: bytes) -> Embedding:
    try:
        from safetensors import SafetensorError  # noqa: PLC0415 - an extra, loaded on first use
        from safetensors.numpy import load  # noqa: PLC0415 - an extra, loaded on first use
    except ImportError as exc:
        raise ConfigurationError("safetensors, which reads the table, is not installed", _INSTALL) from exc
    try:
        tensors = list(load(content).values())
    except (SafetensorError, KeyError) as exc:  # KeyError: a type that NumPy lacks
        raise ConfigurationError(
            f"{path} is not a safetensors file of numbers that NumPy knows",
            "give a file with one matrix of floats",
        ) from exc
    if len(tensors) != 1 or tensors[0].ndim != 2 or tensors[0].dtype.kind != "f":
        raise ConfigurationError(
            f"{path} does not hold exactly one matrix of floats", "give a file that holds only the table"
        )
    table = tensors[0].astype(np.float32)
    if not table.size or not np.isfinite(table).all():
        raise ConfigurationError(f"{path} is empty or holds NaN or infinity", "give a table of finite floats")
    return table


def _parsed_tokenizer(path: Path, content: bytes) -> Tokenizer:
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - an extra, loaded on first use
    except ImportError as exc:
        raise ConfigurationError("tokenizers, which splits texts, is not installed", _INSTALL) from exc
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as exc:  # tokenizers raises bare Exception or ValueError, by version
        raise ConfigurationError(f"{path} is not a tokenizer.json", "give the tokenizer of the table") from exc
    # a mean over padding or over a cut text would be another function
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer

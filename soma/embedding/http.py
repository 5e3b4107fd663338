"""An embedding by a server, asked over HTTP in the form that OpenAI's interface gave to all the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np

from soma import canonical_json
from soma.embedding.protocol import checked_texts
from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.math.similarity import unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.embedding.protocol import Embedding

__all__ = ["HttpEmbedder"]

PROBE: Final = "soma asks which model this is"
WAITS_S: Final = (0.1, 0.4, 1.6)
MAX_BYTES: Final = 2**28
TRY_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


class HttpEmbedder:
    """Embed texts by a server: ``POST URL/embeddings`` with ``{"model": ..., "input": [...]}``.

    The server is asked for one text at a time unless ``batch`` says otherwise: in a batch, many models let the vector
    of a text depend on its neighbours. A store keeps its vectors, so that none is asked for twice.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``, up to and without ``/embeddings``; without credentials.
    model : str
        As the server names it.
    api_key : str, optional
        Sent as a bearer token; never shown, never kept with a store.
    revision : str, optional
        Names the exact function. By default a fingerprint of the vector that the server gives to a fixed text, so that
        another model under the same name is another revision.
    batch : int
        Texts in a request, >= 1; above 1 for a server whose vectors do not depend on it.
    timeout_s : float
        How long an answer may take, seconds.

    Attributes
    ----------
    name : str
        The URL, ``#`` and the model: what `soma.open` and ``SOMA_EMBEDDER`` take.
    revision : str
        ``http-MODEL-dD@`` and 12 hex digits of the fingerprint, unless it was given.
    dimension : int
        Length of the vectors, as the server gave it.

    Raises
    ------
    InvalidParameterError
        For a URL of another form or with credentials, an empty model, or a batch below 1.
    ConfigurationError
        If the extra ``http`` is not installed, or the server cannot be reached, refuses, or answers something else.

    Notes
    -----
    What may pass (no connection, 408, 429, 5xx) is tried four times within two seconds. Laws:
    ``property_tests/stores/test_http_embedder.py``.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        revision: str | None = None,
        batch: int = 1,
        timeout_s: float = 30.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidParameterError("url", parts.hostname, "must be http://HOST/PATH or https://HOST/PATH")
        if "@" in parts.netloc:
            raise InvalidParameterError("url", parts.hostname, "must be without credentials: api_key carries them")
        if not isinstance(model, str) or not model.strip():
            raise InvalidParameterError("model", model, "must be the server's name of a model")
        if type(batch) is not int or batch < 1:
            raise InvalidParameterError("batch", batch, "must be an integer >= 1")
        self.url = url.rstrip("/")
        self.model = model
        self.batch = batch
        self.name = f"{self.url}#{model}"
        self._client = _client(api_key, timeout_s)
        (probe,) = unit_vectors(self._ask([PROBE]))
        self.dimension = len(probe)
        fingerprint = sha256(probe.astype("<f4").tobytes()).hexdigest()[:12]
        self.revision = revision or f"http-{model}-d{self.dimension}@{fingerprint}"

    def __repr__(self) -> str:
        return f"HttpEmbedder({self.url!r}, {self.model!r})"

    def embed(self, texts: Sequence[str]) -> Embedding:
        """Return one unit vector per text; see `Embedder.embed`.

        Parameters
        ----------
        texts : sequence of str, length n
            Any text; a lone surrogate counts as U+FFFD.

        Returns
        -------
        ndarray of float32, shape (n, dimension)
            Unit rows; zeros for blank text.

        Raises
        ------
        InvalidParameterError
            If ``texts`` is one string, or holds anything but strings.
        ConfigurationError
            If the server cannot be reached, refuses, or answers something else.
        """
        checked = checked_texts(texts)
        embedded = np.zeros((len(checked), self.dimension), dtype=np.float32)
        wanted = list(dict.fromkeys(text for text in checked if text and not text.isspace()))
        rows: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(wanted), self.batch):
            page = wanted[start : start + self.batch]
            made = self._ask(page)
            if made.shape[1] != self.dimension:
                raise self._failed(f"gave {made.shape[1]} numbers where it gave {self.dimension} before")
            rows.update(zip(page, unit_vectors(made), strict=True))
        for number, text in enumerate(checked):
            if text in rows:
                embedded[number] = rows[text]
        return embedded

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return what the server makes of texts, shape (n, d)."""
        answer = self._post({"model": self.model, "input": list(texts)})
        try:
            found = {item["index"]: item["embedding"] for item in answer["data"]}
            rows = np.array([found[number] for number in range(len(texts))], dtype=np.float64)
        except (KeyError, TypeError, ValueError):
            raise self._failed("answers without an embedding for each text") from None
        if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
            raise self._failed("answers with embeddings that are no vectors of finite numbers")
        return rows

    def _post(self, question: dict[str, Any]) -> Any:
        """Ask, again and again where that may help."""
        import httpx2  # noqa: PLC0415 - optional, and loaded by whoever uses it

        body, said = canonical_json.dumps(question, max_bytes=MAX_BYTES), ""
        for wait_s in (*WAITS_S, None):
            try:
                response = self._client.post(f"{self.url}/embeddings", content=body)
            except httpx2.HTTPError as error:
                said = f"cannot be reached: {type(error).__name__}"
            else:
                if response.is_success:
                    try:
                        return canonical_json.loads(response.content, max_bytes=MAX_BYTES)
                    except SerializationError as error:
                        raise self._failed(f"answers with no JSON: {error}") from None
                said = f"refuses with {response.status_code} {response.reason_phrase}"
                if response.status_code not in TRY_AGAIN:
                    break
            if wait_s is not None:
                time.sleep(wait_s)
        raise self._failed(said)

    def _failed(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"the embedder at {self.url} {what}",
            f"see that it runs and serves {self.model}, and that SOMA_EMBEDDER_API_KEY is its key if it asks for one",
        )


def _client(api_key: str | None, timeout_s: float) -> Any:
    try:
        import httpx2  # noqa: PLC0415 - optional, and loaded by whoever uses it
    except ModuleNotFoundError:
        raise ConfigurationError(
            "an embedder over HTTP needs the package httpx2", 'run `pip install "soma-fractal-memory[http]"`'
        ) from None
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return httpx2.Client(headers=headers, timeout=timeout_s)

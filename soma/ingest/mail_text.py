"""What a reader sees of a message: its first plain text, else the words of its first HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

__all__ = ["body_text", "clean", "html_text"]

_UNSEEN: Final = frozenset({"head", "script", "style", "template", "title"})
_BREAKS: Final = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "br", "div", "dl", "dt", "dd", "h1", "h2", "h3", "h4"),
        *("h5", "h6", "hr", "li", "ol", "p", "pre", "section", "table", "tr", "ul"),
    }
)


def body_text(message: Message) -> str:
    """Return the text of a message.

    Parameters
    ----------
    message : Message
        Parsed; attachments and forwarded messages in it are left alone.

    Returns
    -------
    str
        Empty if there is none. What is no text in the declared encoding (UTF-8 where that is unknown) is U+FFFD.
    """
    parts = list(_text_parts(message))
    for kind in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == kind:
                text = _decoded(part)
                return clean(html_text(text) if kind == "text/html" else text).strip()
    return ""


def html_text(html: str) -> str:
    r"""Return the words of HTML, a line for each block.

    Parameters
    ----------
    html : str
        Any; what is no HTML is taken as browsers take it.

    Returns
    -------
    str
        Without tags, scripts, styles and comments.

    Examples
    --------
    >>> html_text("<style>p {}</style><p>Ada &amp; Bo</p><p>fixed <b>it</b>")
    'Ada & Bo\nfixed it'
    """
    parser = _Words()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.found).split("\n"))
    return "\n".join(line for line in lines if line)


def clean(text: str) -> str:
    """Return a text that every store can hold: NUL and lone surrogates become U+FFFD, line ends become newlines.

    Parameters
    ----------
    text : str
        Any.

    Returns
    -------
    str
        Valid Unicode without NUL.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text_parts(message: Message) -> Iterator[Message]:
    pending = [message]
    while pending:
        part = pending.pop()
        children = part.get_payload() if part.is_multipart() else None
        if part.get_content_maintype() == "multipart" and isinstance(children, list):
            pending += [child for child in reversed(children) if not isinstance(child, str)]
        elif part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment":
            yield part


def _decoded(part: Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    try:
        return data.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):  # an encoding that is unknown, or none of text
        return data.decode("utf-8", "replace")


class _Words(HTMLParser):
    """Collects what is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._unseen = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the parser calls it so
        if tag in _BREAKS:
            self.found.append("\n")
            if tag == "body":  # a head may be left open
                self._unseen = ""
        elif tag in _UNSEEN and not self._unseen:
            self._unseen = tag

    def handle_endtag(self, tag: str) -> None:
        if tag in _BREAKS:
            self.found.append("\n")
        elif tag == self._unseen:
            self._unseen = ""

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.found.append(data)

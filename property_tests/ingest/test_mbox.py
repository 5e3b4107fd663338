"""Laws of mail: what was sent comes back, nothing crashes the reader, and nothing is written."""

from __future__ import annotations

import mailbox
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from soma.errors import ConfigurationError, SerializationError
from soma.factory import create_memory
from soma.ingest import Episode, Loaded, Refusal, load, read_mbox
from soma.ingest.mail_text import clean, html_text

words = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="\ufffd"), min_size=1, max_size=8)
lines = st.lists(words, min_size=1, max_size=4).map(" ".join)
# a line that starts with From is quoted in an mbox file, and stays so
bodies = st.lists(lines.filter(lambda line: not line.startswith("From")), min_size=1, max_size=4).map("\n".join)
people = st.tuples(st.text(st.characters(categories=("L",)), max_size=8), st.from_regex(r"[a-z]{1,8}", fullmatch=True))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
dates = st.datetimes(datetime(1970, 1, 2), datetime(2037, 1, 1), timezones=offsets)  # noqa: DTZ001 - drawn beside
mails = st.tuples(lines, bodies, people, dates.map(lambda date: date.replace(microsecond=0)), st.booleans())


def write(path: Path, messages: list[Any]) -> Path:
    path.unlink(missing_ok=True)
    box = mailbox.mbox(path)
    for message in messages:
        box.add(message)
    box.close()
    return path


def mail(subject: str, body: str, person: tuple[str, str], date: datetime, is_html: bool, id: int) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = f'"{person[0]}" <{person[1]}@example.org>' if person[0] else f"{person[1]}@example.org"
    message["To"] = "bo@example.org, cy@example.org"
    message["Date"] = format_datetime(date)
    message["Message-ID"] = f"<{id}@example.org>"
    message["In-Reply-To"] = "<0@example.org>"
    message.set_content(body)
    if is_html:
        message.add_alternative("<p>another text</p>", subtype="html")
        message.add_attachment(b"\0\1", maintype="image", subtype="png", filename="a.png")
    return message


@settings(max_examples=40)
@given(st.lists(mails, max_size=4))
def test_mail_comes_back(scratch: Path, sent: list[Any]) -> None:
    path = write(scratch / "inbox.mbox", [mail(*one, id=i) for i, one in enumerate(sent)] or ["From: a\n\nx"])
    before = path.read_bytes()
    if not sent:
        with pytest.raises(SerializationError, match="message 1: the message has no header Date"):
            list(read_mbox(path))
        return
    read = list(read_mbox(path))
    assert path.read_bytes() == before
    assert len(read) == len(sent)
    for i, (episode, (subject, body, (name, address), date, _)) in enumerate(zip(read, sent, strict=True)):
        assert episode.text == f"{subject}\n{body}"
        assert episode.timestamp == date.timestamp()
        assert episode.payload == {
            "subject": subject,
            "from": [f"{name} <{address}@example.org>" if name else f"{address}@example.org"],
            "to": ["bo@example.org", "cy@example.org"],
            "message_id": f"<{i}@example.org>",
            "in_reply_to": "<0@example.org>",
        }
    with create_memory("TEST") as memory:
        memory._store.clock = lambda: 4e9
        assert load(memory, read_mbox(path), batch=3) == Loaded(len(sent), 0)
        assert load(memory, read_mbox(path)) == Loaded(0, len(sent))


def one(tmp_path: Path, headers: str, body: str | bytes = b"x", **more: Any) -> Episode:
    path = tmp_path / "one.mbox"
    raw = body if isinstance(body, bytes) else body.encode()
    date = "" if "Date:" in headers else "Date: Fri, 2 Jan 1970 00:00:00 +0000\n"
    path.write_bytes(b"From ada\n" + date.encode() + headers.encode("utf-8", "surrogateescape") + b"\n" + raw + b"\n")
    (episode,) = read_mbox(path, **more)
    return episode


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Fri, 2 Jan 1970 01:00:00 +0100", 86_400),
        ("Fri, 2 Jan 1970 00:00:00 -0000", 86_400),
        ("Fri, 2 Jan 1970 00:00:00 -0000 (somewhere)", 86_400),
        ("2 Jan 1970 00:00 GMT", 86_400),
        ("Thu, 1 Jan 1970 19:00:00 EST", 86_400),
    ],
)
def test_dates_are_read_as_mail_writes_them(date: str, seconds: float, tmp_path: Path) -> None:
    assert one(tmp_path, f"Date: {date}\n").timestamp == seconds


def test_a_date_without_a_zone_is_refused_or_taken_in_the_zone_given(tmp_path: Path) -> None:
    for date in ("Fri, 2 Jan 1970 01:00:00", "Fri, 2 Jan 1970 01:00:00 XYZ"):
        assert one(tmp_path, f"Date: {date}\n", timezone="Europe/Berlin").timestamp == 86_400
        with pytest.raises(SerializationError, match=r"^one.mbox, message 1: Date must say its offset from UTC, or a"):
            one(tmp_path, f"Date: {date}\n")


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ("Date: yesterday\n", "x", "Date must be a date as RFC 5322 writes it"),
        ("Date: Fri, 99 Jan 1970 00:00:00 +0000\n", "x", "Date must be a date as RFC 5322 writes it"),
        ("Date: \n", "x", "the message has no header Date"),
        ("Date: Fri, 2 Jan 2037 00:00:00 +0000\n", "x", "the time must not lie after 2001-09-09"),
        ("Subject: \n", "", "the message has neither a subject nor a body of text"),
        ("Content-Type: image/png\n", "x", "the message has neither a subject nor a body of text"),
    ],
)
def test_a_bad_message_is_named(headers: str, body: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SerializationError) as caught:
        one(tmp_path, headers, body, latest_s=1e9)
    assert str(caught.value).startswith(f"one.mbox, message 1: {reason}")


def test_html_is_read_where_there_is_no_plain_text(tmp_path: Path) -> None:
    page = (
        "<html><head><title>t</title><style>p {}</style></head><body><p>Ada &amp; Bo</p><script>x()</script>fixed<br>it"
    )
    assert one(tmp_path, "Content-Type: text/html\n", page).text == "Ada & Bo\nfixed\nit"
    assert html_text("<head>unseen<body>seen") == "seen"
    nested = (
        "Content-Type: multipart/mixed; boundary=A\n",
        "--A\nContent-Type: text/plain\nContent-Disposition: attachment\n\nfile\n"
        "--A\nContent-Type: multipart/alternative; boundary=B\n\n"
        "--B\nContent-Type: text/html\n\n<p>page</p>\n--B\nContent-Type: text/plain\n\nplain\n--B--\n"
        "--A\nContent-Type: message/rfc822\n\nSubject: inner\n\nforwarded\n--A--\n",
    )
    assert one(tmp_path, *nested).text == "plain"


def test_a_long_body_is_cut_and_says_so(tmp_path: Path) -> None:
    long = one(tmp_path, "Subject: s\n", "b" * 16_385)
    assert (len(long.text), long.payload["n_characters"]) == (2 + 16_384, 16_385)
    assert "n_characters" not in one(tmp_path, "Subject: s\n", "b" * 16_384).payload


def test_headers_and_bodies_in_any_encoding_are_read(tmp_path: Path) -> None:
    encoded = one(
        tmp_path,
        "Subject: =?iso-8859-1?q?caf=E9?=\nFrom: =?utf-8?b?w4Rkw6E=?= <a@b.c>\n"
        "Content-Type: text/plain; charset=latin-1\n",
        "na\xefve".encode("latin-1"),
    )
    assert (encoded.text, encoded.payload["from"]) == ("café\nnaïve", ["Ädá <a@b.c>"])
    assert "damaged" not in encoded.payload
    for headers, body in (
        ("Content-Type: text/plain; charset=utf-8\n", b"\xff"),
        ("Content-Type: text/plain; charset=unheard-of\n", b"\xff"),
        ("Content-Type: text/plain; charset=base64\n", b"\xff"),
        ("Subject: \udcff\n", b"x"),
        ("", b"x\0"),
    ):
        damaged = one(tmp_path, headers, body)
        assert damaged.payload["damaged"] is True
        assert "\ufffd" in damaged.text


def test_ids_depend_on_the_message_id_or_on_every_byte(tmp_path: Path) -> None:
    pairs = (("<1>", "a"), (" <1>", "b"), ("<2>", "a"))
    named = [one(tmp_path, f"Message-ID: {id}\nSubject: {subject}\n").id for id, subject in pairs]
    assert named[0] == named[1] != named[2]
    bare = [one(tmp_path, f"Subject: {s}\n").id for s in ("a", "a", "b")]
    assert bare[0] == bare[1] != bare[2]
    assert str(named[0]) == "5ee3ef0f-36de-5b72-9206-d4ac95ad9d3b"


def test_two_messages_of_one_id_must_be_alike(tmp_path: Path) -> None:
    first, same, other = (f"Date: Fri, 2 Jan 1970 00:00:00 +0000\nMessage-ID: <1>\n\n{body}" for body in "xxy")
    path = write(tmp_path / "inbox.mbox", [first, same, other])
    refused: list[Refusal] = []
    assert len(list(read_mbox(path, on_refusal=refused.append))) == 2
    assert [one.place for one in refused] == ["message 3"]
    assert "its id stands for something else at message 1" in refused[0].reason


def test_a_file_that_is_no_mbox_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for content in (b"", b"Subject: a mail alone\n\nx"):
        path.write_bytes(content)
        with pytest.raises(
            SerializationError, match=r"^notes.txt, line 1: an mbox file starts with a line 'From \.\.\.'$"
        ):
            list(read_mbox(path))
    with pytest.raises(ConfigurationError, match="does not exist: give an mbox file"):
        list(read_mbox(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


HEADERS = ("Date", "Subject", "From", "To", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "X")
PIECES = (
    b"=?utf-8?q?",
    b"=?x?b?\xff?=",
    b"multipart/mixed; boundary=",
    b"text/html; charset*=x''%ff",
    b"base64",
    b"<",
    b'"',
)
pieces = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=4).map(b" ".join)
raw_headers = st.tuples(st.sampled_from(HEADERS), pieces).map(lambda pair: pair[0].encode() + b": " + pair[1])


@given(st.lists(raw_headers, max_size=4), st.binary(max_size=60), st.booleans())
@example([b"Content-Type: text/html; charset*=x''%ff"], b"\x80", True)  # once a TypeError in the standard library
def test_no_bytes_crash_it(scratch: Path, headers: list[bytes], body: bytes, is_dated: bool) -> None:
    date = [b"Date: Fri, 2 Jan 1970 00:00:00 +0000"] * is_dated
    path = scratch / "any.mbox"
    path.write_bytes(b"\n".join([b"From x", *date, b"Subject: s", *headers, b"", body]))
    refused: list[Refusal] = []
    assert list(read_mbox(path, on_refusal=refused.append)) or refused
    path.write_bytes(b"From " + body)
    assert list(read_mbox(path, on_refusal=refused.append)) or refused


@given(st.text())
def test_cleaning_keeps_what_a_store_can_hold(text: str) -> None:
    kept = clean(text)
    assert clean(kept) == kept
    kept.encode()
    assert "\0" not in kept
    if not set("\0\r") & set(text):
        assert kept == text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") or "\ufffd" in kept


def test_all_of_this_is_of_the_past(tmp_path: Path) -> None:
    late = format_datetime(datetime(2030, 1, 1, tzinfo=UTC))
    assert one(tmp_path, f"Date: {late}\n", latest_s="2030-01-01").timestamp == 1_893_456_000

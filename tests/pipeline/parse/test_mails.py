"""Mails in files: the best form of the text, charsets, attachments, mails in mails."""

from __future__ import annotations

from base64 import encodebytes
from email.message import EmailMessage
from email.policy import SMTP
from quopri import encodestring
from typing import Any

import pytest

from syncd.errors import PermanentError
from syncd.pipeline.parse.task import DocumentLimits
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.documents import compound, docx, encoded, paragraph, pdf, written
from tests.pipeline.parse.reading import PartReader, labels, parts_of, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_HEAD = "# Winch\n\nFrom: Anna <anna@example.org>\nTo: bo@example.org\nDate: 2026-03-03 10:05 +01:00\n\n"


def mail(text: str = "Grease it.\n", **more: Any) -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = "Anna <anna@example.org>", "bo@example.org", "Winch"
    made["Date"] = "Tue, 3 Mar 2026 10:05:00 +0100"
    if text:
        made.set_content(text, **more)
    return made


def raw(body: str | bytes, head: str = "Content-Type: text/plain; charset=utf-8", encoding: str = "8bit") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    return f"Subject: Winch\r\n{head}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + data


async def test_a_mail_says_who_wrote_what_to_whom_and_when(pool: PartReader) -> None:
    assert await text_of(pool, mail().as_bytes(), "a.eml") == _HEAD + "Grease it.\n\n"
    assert await text_of(pool, mail("Größe: 7\n", cte="base64").as_bytes(), "a.eml") == _HEAD + "Größe: 7\n\n"
    assert await text_of(pool, mail("Größe\n", cte="quoted-printable", charset="latin-1").as_bytes(), "a.eml") == (
        _HEAD + "Größe\n\n"
    )


async def test_encoded_and_bare_words_in_fields_are_read(pool: PartReader) -> None:
    fields = b"Subject: =?utf-8?B?TGllZ2VwbGF0eiBGw7xuZg==?=\n"
    fields += (
        "From: =?iso-8859-1?Q?K=E4te?= <k@example.org>\nTo: Jörg <j@example.org>\nDate: the other day\n\nx\n".encode()
    )
    assert await text_of(pool, fields, "a.eml") == (
        "# Liegeplatz Fünf\n\nFrom: Käte <k@example.org>\nTo: Jörg <j@example.org>\nDate: the other day\n\nx\n\n"
    )


async def test_html_is_preferred_to_the_plain_text_beside_it_unless_it_is_empty(pool: PartReader) -> None:
    made = mail("plain\n")
    made.add_alternative("<h2>Load</h2><table><tr><th>a<th>b<tr><td>1<td>2</table>", subtype="html")
    assert await text_of(pool, made.as_bytes(), "a.eml") == _HEAD + "## Load\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n"
    empty = mail("plain\n")
    empty.add_alternative(" ", subtype="html")
    assert await text_of(pool, empty.as_bytes(), "a.eml") == _HEAD + "plain\n\n"


async def test_html_is_preferred_however_deep_it_stands_and_what_is_beside_it_is_attached(pool: PartReader) -> None:
    page = "--c\nContent-Type: multipart/related; boundary=d\n\n--d\nContent-Type: text/html\n\n<h2>Load</h2>\n--d--\n"
    text = await text_of(pool, _forms(_PLAIN, _mixed(page, _SUM)), "a.eml")
    assert text == "# Winch\n\n## Load\n\n## Attachment: sum.csv\n\n| a |\n| --- |\n| 1 |\n\n"


async def test_a_page_attached_to_a_form_does_not_make_it_the_better_one(pool: PartReader) -> None:
    page = "--c\nContent-Type: text/html; name=old.html\n\n<p>old</p>\n"
    text = await text_of(pool, _forms("Content-Type: text/html\n\n<p>new</p>", _mixed("--c\n\nplain\n", page)), "a.eml")
    assert text == "# Winch\n\nnew\n\n## Attachment: old.html\n\nold\n\n"


async def test_what_is_attached_to_a_form_that_is_not_used_is_read(pool: PartReader) -> None:
    inner = f"--c\nContent-Type: message/rfc822\n\n{_INNER.decode()}"
    unused = _mixed("--c\n\nplain\n", _SUM, inner)
    text = await text_of(pool, _forms(unused, "Content-Type: text/html\n\n<p>page</p>"), "a.eml")
    assert text.startswith("# Winch\n\npage\n\n## Attachment: sum.csv\n\n| a |\n| --- |\n| 1 |\n\n")
    assert "# Größe\n\nFrom: Anna <anna@example.org>\n\nÖsen 7=20\n" in text
    assert "plain" not in text


_PLAIN = "Content-Type: text/plain\n\nplain"
_SUM = "--c\nContent-Type: text/csv\nContent-Disposition: attachment; filename=sum.csv\n\na\n1\n"
_INNER = (
    "From: Anna <anna@example.org>\nSubject: Größe\nContent-Type: text/plain; charset=utf-8\n\nÖsen 7=20\n".encode()
)


def _forms(*forms: str) -> bytes:
    """A mail whose text has several forms."""
    body = "".join(f"--b\n{form}\n" for form in forms)
    return f"Subject: Winch\nContent-Type: multipart/alternative; boundary=b\n\n{body}--b--\n".encode()


def _mixed(*parts: str) -> str:
    return f"Content-Type: multipart/mixed; boundary=c\n\n{''.join(parts)}--c--"


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("base64", encodebytes(_INNER)), ("Quoted-Printable", encodestring(_INNER)), ("base64", _INNER)],
)
async def test_a_mail_in_a_mail_is_read_whether_it_is_encoded_as_it_says_or_not(
    pool: PartReader, encoding: str, data: bytes
) -> None:
    head = f"--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: {encoding}\n\n".encode()
    outer = b"Subject: Fwd\nContent-Type: multipart/mixed; boundary=b\n\n" + head + data + b"\n--b--\n"
    assert await text_of(pool, outer, "a.eml") == (
        "# Fwd\n\n## Attachment: Größe.eml\n\n# Größe\n\nFrom: Anna <anna@example.org>\n\nÖsen 7=20\n\n"
    )


async def test_pictures_that_html_shows_are_read_in_their_places(pool: PartReader) -> None:
    made = mail("plain\n")
    made.add_alternative("<p>before<p><img src='cid:plan%401' alt='the plan'><p>after", subtype="html")
    page = made.get_payload()[1]  # type: ignore[index]
    page.add_related(encoded(written(["Quay"])), "image", "png", cid="<plan@1>")  # type: ignore[union-attr]
    assert await text_of(pool, made.as_bytes(), "a.eml") == _HEAD + "before\n\n![the plan]()\n\nafter\n\n"
    assert await warnings_of(pool, made.as_bytes(), "a.eml") == {}


@pytest.mark.parametrize(
    ("charset", "text"),
    [("iso-2022-jp", "印刷情况"), ("koi8-r", "зима"), ("gb18030", "测试"), ("windows-1252", "“7 €”")],
)
async def test_text_is_in_the_charset_that_its_part_names(pool: PartReader, charset: str, text: str) -> None:
    kind = f"Content-Type: text/plain; charset={charset}"
    assert await text_of(pool, raw(text.encode(charset), kind), "a.eml") == f"# Winch\n\n{text}\n\n"
    page = f"Content-Type: text/html; charset={charset}"
    assert await text_of(pool, raw(f"<p>{text}".encode(charset), page), "a.eml") == f"# Winch\n\n{text}\n\n"


@pytest.mark.parametrize("charset", ["", "; charset=x-unheard-of", "; charset=punycode", "; charset=us-ascii"])
async def test_where_none_is_named_it_is_found_out_and_said(pool: PartReader, charset: str) -> None:
    text = "Größe der Ösen für die Übergabe am Hafen, geprüft von Käte Müller.\n"
    data = raw(text.encode("cp1252"), f"Content-Type: text/plain{charset}")
    assert text in await text_of(pool, data, "a.eml")
    assert await warnings_of(pool, data, "a.eml") == {"encoding_guessed": 1}
    assert await warnings_of(pool, raw(text), "a.eml") == {}


async def test_lines_wrapped_for_sending_are_joined(pool: PartReader) -> None:
    flowed = "A long \r\nline.\r\n> quoted \r\n> too\r\n>> deeper\r\n-- \r\nAnna\r\n"
    kind = "Content-Type: text/plain; charset=utf-8; format=flowed"
    assert await text_of(pool, raw(flowed, kind), "a.eml") == (
        "# Winch\n\nA long line.\n> quoted too\n>> deeper\n\\--\nAnna\n\n"
    )
    assert await text_of(pool, raw("A \r\nlong\r\n", kind + "; delsp=yes"), "a.eml") == "# Winch\n\nAlong\n\n"


async def test_plain_text_has_no_headings(pool: PartReader) -> None:
    text = "# not one\n\nNor this\n========\n\n```\nunclosed\n"
    assert await text_of(pool, raw(text), "a.eml") == (
        "# Winch\n\n\\# not one\n\nNor this\n\\========\n\n\\```\nunclosed\n\n"
    )


async def test_attachments_are_read_where_their_formats_are(pool: PartReader) -> None:
    made = mail()
    made.add_attachment(docx(paragraph("fine")), "application", "octet-stream", filename="Größe.docx")
    made.add_attachment(pdf(["first page", "second page"]), "application", "pdf", filename="offer.pdf")
    made.add_attachment("a,b\n1,2\n", "csv", filename="sum.csv")
    made.add_attachment("plain words", filename="note.txt")
    made.add_attachment(b"-----BEGIN", "application", "pgp-signature", filename="s.asc")
    text = await text_of(pool, made.as_bytes(), "a.eml")
    assert "## Attachment: Größe.docx\n\nfine\n" in text
    assert "second page" in text
    assert "| 1 | 2 |" in text
    assert text.endswith("## Attachment: note.txt\n\nplain words\n")
    parts = await parts_of(pool, made.as_bytes(), "a.eml")
    assert labels(parts) == ["Größe.docx", "offer.pdf", "offer.pdf", "offer.pdf", "sum.csv", "note.txt"]
    assert [mark.page for part in parts for mark in part.pages] == [1, 1, 1, 2, 1, 1]
    assert await warnings_of(pool, made.as_bytes(), "a.eml") == {}


async def test_an_attachment_that_cannot_be_read_is_told_and_loses_nothing_else(pool: PartReader) -> None:
    made = mail()
    made.add_attachment(bytes(range(256)) * 20, "application", "zip", filename="a.zip")
    made.add_attachment(b"%PDF-1.4 broken", "application", "pdf", filename="../b.pdf")
    made.add_attachment(compound("WordDocument"), "application", "msword", filename="c.doc")
    made.add_attachment(b"", "application", "pdf", filename="d.pdf")
    made.add_attachment("words", filename="e.txt")
    assert (await text_of(pool, made.as_bytes(), "a.eml")).endswith("## Attachment: e.txt\n\nwords\n")
    assert await warnings_of(pool, made.as_bytes(), "a.eml") == {"attachment_unread": 4}


async def test_attached_texts_are_in_the_charset_that_is_named_or_found_out(pool: PartReader) -> None:
    made = mail()
    made.add_attachment("зима\n", filename="a.txt", charset="koi8-r")
    text = "Größe der Ösen für die Übergabe am Hafen, geprüft von Käte Müller.\n"
    made.add_attachment(text.encode("cp1252"), "application", "octet-stream", filename="b.txt")
    read = await text_of(pool, made.as_bytes(), "a.eml")
    assert "зима\n" in read
    assert text in read
    assert await warnings_of(pool, made.as_bytes(), "a.eml") == {"encoding_guessed": 1}


async def test_mails_in_mails_are_read_five_deep(pool: PartReader) -> None:
    made = mail("level 0\n")
    for level in range(1, 9):
        outer = mail(f"level {level}\n")
        if level % 2:
            outer.add_attachment(made)
        else:
            outer.add_attachment(made.as_bytes(), "application", "octet-stream", filename=f"m{level}.eml")
        made = outer
    text = await text_of(pool, made.as_bytes(), "a.eml")
    assert [f"level {level}\n" in text for level in range(9)] == [False] * 3 + [True] * 6
    assert await warnings_of(pool, made.as_bytes(), "a.eml") == {"attachment_unread": 1}


async def test_of_very_many_attachments_the_first_hundred_are_read(pool: PartReader) -> None:
    made = mail()
    for number in range(130):
        made.add_attachment(f"words {number} ", filename=f"{number}.txt")
    text = await text_of(pool, made.as_bytes(), "a.eml")
    assert "words 99 " in text
    assert "words 100 " not in text
    assert await warnings_of(pool, made.as_bytes(), "a.eml") == {"attachment_unread": 30}


async def test_parts_nested_without_end_are_refused(pool: PartReader) -> None:
    head = "".join(f"Content-Type: multipart/mixed; boundary=b{at}\n\n--b{at}\n" for at in range(60))
    for deep in (head, head * 40):
        with pytest.raises(PermanentError, match=r"a\.eml is nested too deeply to be read"):
            await text_of(pool, b"Subject: x\n" + deep.encode(), "a.eml")


async def test_a_file_without_the_fields_of_a_mail_is_none(pool: PartReader) -> None:
    with pytest.raises(PermanentError, match=r"a\.eml cannot be read as mail"):
        await text_of(pool, b"Just some words.\n", "a.eml")


async def test_a_report_says_what_became_of_a_mail(pool: PartReader) -> None:
    status = "Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; bo@example.org\nAction: failed\n"
    body = f"--b\nContent-Type: text/plain\n\nIt came back.\n--b\nContent-Type: message/delivery-status\n\n{status}\n--b--\n"
    data = f"Subject: Returned\nContent-Type: multipart/report; boundary=b\n\n{body}".encode()
    text = await text_of(pool, data, "a.eml")
    assert "It came back.\n" in text
    assert "Final-Recipient: rfc822; bo@example.org\nAction: failed\n" in text


async def test_broken_encodings_are_read_as_far_as_they_go(pool: PartReader) -> None:
    torn = encodebytes(b"Grease the drum every week.").decode()[:-6]
    assert "Grease the drum" in await text_of(pool, raw(torn, encoding="base64"), "a.eml")
    assert "A=ZZ b" in await text_of(pool, raw("A=ZZ b=", encoding="quoted-printable"), "a.eml")


async def test_attachments_are_bounded_together() -> None:
    made = mail()
    for name in ("a.txt", "b.txt", "c.txt"):
        made.add_attachment("words " * 1000, filename=name)
    data = made.as_bytes()
    few_bytes = PreparerSettings(workers=1, limits=DocumentLimits(expanded_bytes=15_000), step_limit_s=60)
    async with PartReader(few_bytes) as pool:
        assert await warnings_of(pool, data, "a.eml") == {"attachment_unread": 1}
    little_text = PreparerSettings(workers=1, limits=DocumentLimits(text_bytes=10_000), step_limit_s=60)
    async with PartReader(little_text) as pool:
        with pytest.raises(PermanentError, match="the mail and its attachments contain over 0 MiB of text: split it"):
            await text_of(pool, data, "a.eml")

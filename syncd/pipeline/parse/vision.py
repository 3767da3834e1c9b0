"""Descriptions of pictures by a vision model the user runs: an endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import base64
from typing import Protocol

import aiohttp

from syncd.errors import PermanentError, RetryableError
from syncd.model import PageMark, Part

PROMPT = (
    "Describe this picture from a document in one to three plain sentences for a search index. "
    "Give the kind of picture, what it shows, and the figures and names that can be read in it."
)


_NOT_THE_PICTURE = (401, 402, 403, 404, 408, 429)
"""A wrong key or model, or too many requests: the picture is not at fault and can be described later."""


class Describer(Protocol):
    """Turns a picture into a sentence or three."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever descriptions may."""
        ...

    async def describe(self, picture: bytes) -> str:
        """Return a description of an encoded picture (PNG, JPEG, WebP, GIF); '' when there is nothing to say.

        Waits for the model. Raises RetryableError while it is away or does not let us in, PermanentError when it cannot
        describe this picture.
        """
        ...


def media_type_of(picture: bytes) -> str:
    """Return the media type by the first bytes."""
    if picture.startswith(b"\x89PNG"):
        return "image/png"
    if picture.startswith(b"GIF8"):
        return "image/gif"
    return "image/webp" if picture[8:12] == b"WEBP" else "image/jpeg"


class OpenAiDescriber:
    """A vision model behind `{url}/chat/completions`; the session is the caller's, and so are its time limits."""

    def __init__(self, session: aiohttp.ClientSession, url: str, model: str, api_key: str = "") -> None:
        self._session = session
        self._url = url.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.fingerprint = f"{url} {model}"

    async def describe(self, picture: bytes) -> str:
        """See `Describer.describe`. Twice costs twice."""
        encoded = base64.b64encode(picture).decode()
        url = f"data:{media_type_of(picture)};base64,{encoded}"
        content = [{"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": url}}]
        request = {
            "model": self._model,
            "max_tokens": 300,
            "temperature": 0,
            "messages": [{"role": "user", "content": content}],
        }
        try:
            async with self._session.post(self._url, json=request, headers=self._headers) as response:
                if response.status in _NOT_THE_PICTURE or response.status >= 500:
                    raise RetryableError(f"the vision endpoint {self._url} answered {response.status}")
                if response.status >= 400:
                    raise PermanentError(f"the vision endpoint {self._url} refused a picture: {response.status}")
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RetryableError(f"the vision endpoint {self._url} cannot be used ({error})") from error
        try:
            return str(answer["choices"][0]["message"]["content"] or "").strip()
        except (KeyError, IndexError, TypeError) as error:
            raise RetryableError(f"the vision endpoint {self._url} gave an unexpected response") from error


def with_descriptions(part: Part, words: list[tuple[int, str]]) -> Part:
    """Return `part` with each text put in as a paragraph at its byte offset, page marks moved along."""
    data, out, at = part.text.encode(), bytearray(), 0
    moves: list[tuple[int, int]] = []
    for where, text in words:
        paragraph = f"{text.strip()}\n\n".encode() if text.strip() else b""
        out += data[at:where] + paragraph
        at = where
        moves.append((where, len(paragraph)))
    out += data[at:]
    pages = tuple(
        PageMark(mark.start_byte + sum(size for where, size in moves if where < mark.start_byte), mark.page, mark.label)
        for mark in part.pages
    )
    return Part(out.decode(), part.kind, pages, part.title)

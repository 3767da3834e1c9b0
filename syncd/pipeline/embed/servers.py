"""The protocols of embedding servers: OpenAI's `/embeddings`, with a word of our own for another syncd, and
text-embeddings-inference's `/embed`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

import aiohttp
import numpy as np
import orjson

from syncd.errors import PermanentError, RetryableError
from syncd.json_types import Json, JsonObject, json_object
from syncd.model import Vectors
from syncd.pipeline.embed.windows import unit_rows
from syncd.runtime.headers import retry_after_s

_BYTES_PER_TOKEN = 4
_TEXT_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
_REASON_CHARS = 200
_JSON = {"Content-Type": "application/json"}


class ServerFailedError(RetryableError):
    """The server failed on a request that it had accepted: its own fault, or that of a text in it."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server. `url` is what `/embeddings` (openai, syncd) or `/embed` (tei) is put behind; `headers` may hold a secret.
    `in_flight` requests at a time at most.
    """

    url: str
    protocol: Literal["openai", "tei", "syncd"] = "openai"
    model: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    in_flight: int = 32


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """Unit vectors, NaN where the server's was zero or not finite, and the tokens it counted (or a guess)."""

    vectors: Vectors
    tokens: int


async def ask(session: aiohttp.ClientSession, server: Server, texts: Sequence[str]) -> ServerAnswer:
    """Return the vectors of `texts` from `server`. Servers are asked to reject over-long inputs instead of truncating them.

    Raises PermanentError when it refuses these texts, RetryableError when it is out of reach, busy, misconfigured or
    answers nonsense, which is no fault of the texts, and ServerFailedError when it failed on them.
    """
    path, body = _request(server, texts)
    try:
        async with session.post(
            server.url.rstrip("/") + path,
            data=orjson.dumps(body),
            headers={**_JSON, **server.headers},
            allow_redirects=False,
        ) as response:
            if response.status != HTTPStatus.OK:
                raise _refusal(server, response, (await response.text("utf-8", "replace"))[:_REASON_CHARS])
            return _answer(server, orjson.loads(await response.read()), texts)
    except aiohttp.ServerDisconnectedError as error:
        raise ServerFailedError(f"{server.url} closed the connection before it responded") from error
    except aiohttp.ServerTimeoutError as error:
        raise RetryableError(f"{server.url} cannot be reached: {error}") from error
    except TimeoutError as error:
        raise ServerFailedError(f"{server.url} timed out") from error
    except (aiohttp.ClientError, OSError) as error:
        raise RetryableError(f"{server.url} cannot be reached: {error or type(error).__name__}") from error
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise RetryableError(
            f"{server.url} returned no embeddings: {error!r}; is it a {server.protocol} server?"
        ) from error


def _request(server: Server, texts: Sequence[str]) -> tuple[str, JsonObject]:
    inputs = [text.encode("utf-8", "replace").decode() for text in texts]
    if server.protocol == "tei":
        return "/embed", {"inputs": inputs, "normalize": True, "truncate": False}
    # Texts have their prompts already, and a syncd puts its own before what clients of Chroma send it.
    own = {"input_type": "prompted"} if server.protocol == "syncd" else {}
    return "/embeddings", {"input": inputs, "model": server.model, "encoding_format": "base64", **own}


def _answer(server: Server, body: Json, texts: Sequence[str]) -> ServerAnswer:
    if server.protocol == "tei":
        rows, tokens = _listed(body), None
    else:
        whole = json_object(body)
        entries = {_counted(entry["index"]): entry["embedding"] for entry in map(json_object, _listed(whole["data"]))}
        rows = [entries[number] for number in sorted(entries)]
        tokens = json_object(whole.get("usage")).get("total_tokens")
    vectors = np.array([_vector(row) for row in rows], dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ValueError(f"vectors of shape {vectors.shape} for {len(texts)} texts")
    guess = sum(len(text.encode("utf-8", "replace")) for text in texts) // _BYTES_PER_TOKEN
    return ServerAnswer(unit_rows(vectors), _counted(tokens) if tokens is not None else guess)


def _listed(value: Json) -> Sequence[Json]:
    if not isinstance(value, list):
        raise TypeError(f"not a list: {type(value).__name__}")
    return value


def _counted(value: Json) -> int:
    if not isinstance(value, int | float | str):
        raise TypeError(f"not a number: {type(value).__name__}")
    return int(value)


def _vector(row: object) -> Vectors:
    if isinstance(row, str):
        return np.frombuffer(base64.b64decode(row, validate=True), dtype="<f4")
    return np.asarray(row, dtype=np.float32)


def _refusal(server: Server, response: aiohttp.ClientResponse, reason: str) -> PermanentError | RetryableError:
    reason = " ".join(reason.split())
    if response.status in _TEXT_REFUSED:
        return PermanentError(f"{server.url} rejected the text ({response.status}): {reason}")
    if response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFailedError(f"{server.url} answers 500: {reason}")
    wait_s = retry_after_s(response.headers.get("Retry-After"))
    return RetryableError(f"{server.url} answers {response.status}: {reason}", wait_s)

"""The protocols of reranking servers: Cohere's, which Jina, llama.cpp, vLLM and Infinity speak too, and text-embeddings-inference's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

import aiohttp

from syncd.errors import RetryableError
from syncd.json_types import Json, JsonObject, json_object
from syncd.pipeline.rerank.scorer import checked
from syncd.runtime.headers import retry_after_s

RerankProtocol = Literal["cohere", "tei"]
_REQUEST_LIMIT_S = 60.0
_TEI_TEXTS = 32
"""text-embeddings-inference's default limit of texts in a request."""
_REASON_CHARS = 200


@dataclass(frozen=True, slots=True)
class RerankServer:
    """One server. `url` is what `/rerank` is put behind; `headers` may hold a secret."""

    url: str
    protocol: RerankProtocol = "cohere"
    model: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@asynccontextmanager
async def open_server(server: RerankServer) -> AsyncGenerator[ServerScorer]:
    """Yield a Scorer that asks a server; whether that answers is not tried."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_REQUEST_LIMIT_S)) as session:
        yield ServerScorer(session, server)


class ServerScorer:
    """Asks one server."""

    def __init__(self, session: aiohttp.ClientSession, server: RerankServer) -> None:
        self._session = session
        self._server = server

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return the server's scores, as `Scorer.scores` says. Raises RetryableError: a refusal may be of this query alone."""
        size = _TEI_TEXTS if self._server.protocol == "tei" else max(1, len(texts))
        found: list[float] = []
        for start in range(0, len(texts), size):
            found += await self._asked(query, texts[start : start + size])
        return found

    async def _asked(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        server = self._server
        try:
            async with self._session.post(
                server.url.rstrip("/") + "/rerank",
                json=_request(server, query, texts),
                headers=dict(server.headers),
                allow_redirects=False,
            ) as response:
                if response.status != HTTPStatus.OK:
                    reason = " ".join((await response.text("utf-8", "replace"))[:_REASON_CHARS].split())
                    wait_s = retry_after_s(response.headers.get("Retry-After"))
                    raise RetryableError(f"{server.url} answers {response.status}: {reason}", wait_s)
                return _scores(server, await response.json(content_type=None), len(texts))
        except TimeoutError as error:
            raise RetryableError(f"{server.url} timed out") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RetryableError(f"{server.url} cannot be reached: {error or type(error).__name__}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise RetryableError(
                f"{server.url} returned no scores: {error!r}; is it a {server.protocol} server?"
            ) from error


def _request(server: RerankServer, query: str, texts: Sequence[str]) -> JsonObject:
    query, *inputs = (text.encode("utf-8", "replace").decode() for text in (query, *texts))
    if server.protocol == "tei":
        return {"query": query, "texts": inputs, "truncate": True}
    return {"model": server.model, "query": query, "documents": inputs, "top_n": len(inputs)}


def _scores(server: RerankServer, body: Json, count: int) -> Sequence[float]:
    entries, name = (body, "score") if server.protocol == "tei" else (json_object(body)["results"], "relevance_score")
    if not isinstance(entries, list):
        raise TypeError(f"not a list: {type(entries).__name__}")
    found = {_number(one["index"]): _number(one[name]) for one in map(json_object, entries)}
    return checked([found[number] for number in range(count)], len(entries))


def _number(value: Json) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"not a number: {type(value).__name__}")
    return float(value)

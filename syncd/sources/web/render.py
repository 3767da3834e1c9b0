"""Pages as a browser shows them: Chromium through Playwright, one process, a fresh context per page, behind the proxy."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Playwright, Route, async_playwright

from syncd.errors import PermanentError
from syncd.sources.web.addresses import AddressGuard
from syncd.sources.web.client import PoliteClient
from syncd.sources.web.proxy import FilteringProxy
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.urls import Site, Url, UrlError, normal

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-breakpad",
    "--no-pings",
    "--no-first-run",
    "--dns-prefetch-disable",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication,NetworkPrediction",
)
UNNEEDED = frozenset({"image", "media", "font", "stylesheet", "manifest", "websocket", "eventsource"})
TABS = 2
BROWSER_RECYCLE_AFTER_PAGES = 100
"""Pages per browser: its memory grows with every page, and a new one costs half a second."""
QUIET_S = 5.0
REQUESTS_PER_PAGE = 100


def chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Chromium:
    """One source's browser; use it as an async context manager. It starts with the first page.

    Entering raises PermanentError if no browser is installed.
    """

    def __init__(self, settings: WebSettings, guard: AddressGuard, client: PoliteClient) -> None:
        self._settings = settings
        self._client = client
        self._site = Site(normal(settings.starting_url), extra_hosts=settings.extra_hosts)
        limits = settings.limits
        self._proxy = FilteringProxy(guard, limits.document_size_bytes, limits.connect_s, limits.request_s)
        self._tabs = asyncio.Semaphore(TABS)
        self._starting = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._playwright: Playwright | None = None
        self._browser: PlaywrightBrowser | None = None
        self._pages = 0
        self._open = 0

    async def __aenter__(self) -> Self:
        program = chromium()
        if program is None:
            raise PermanentError(
                "render needs Chromium; install the system's chromium package or set render to 'never'"
            )
        self._program = program
        await self._stack.enter_async_context(self._proxy)
        self._playwright = await self._stack.enter_async_context(async_playwright())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._browser is not None:
            await self._browser.close()
        await self._stack.aclose()

    @property
    def refused(self) -> list[str]:
        """Return the addresses that pages were denied."""
        return self._proxy.refused

    async def render(self, url: Url) -> bytes:
        """Return the page's HTML after its scripts ran and the network went quiet. Waits for a tab and the host's rate limiter.

        Raises PermanentError when the page cannot be loaded within the request's time limit.
        """
        async with self._tabs, self._client.limiter(url).turn():
            browser = await self._running()
            self._open += 1
            try:
                async with asyncio.timeout(self._settings.limits.request_s):
                    return await self._load(browser, url)
            except (PlaywrightError, TimeoutError) as error:
                first = (str(error).splitlines() or ["no response in time"])[0]
                raise PermanentError(f"{url.text} could not be rendered: {first}") from error
            finally:
                self._open -= 1

    async def _load(self, browser: PlaywrightBrowser, url: Url) -> bytes:
        context = await browser.new_context(
            user_agent=self._settings.user_agent,
            service_workers="block",
            accept_downloads=False,
            permissions=[],
        )
        try:
            left = REQUESTS_PER_PAGE

            async def decide(route: Route) -> None:
                nonlocal left
                left -= 1
                if left < 0 or route.request.resource_type in UNNEEDED or not await self._allowed(route.request.url):
                    await route.abort()
                else:
                    await route.continue_()

            page = await context.new_page()
            await page.route("**/*", decide)
            await page.goto(url.text, wait_until="load", timeout=self._settings.limits.request_s * 1000)
            # A page whose network never goes quiet is read as it is.
            with suppress(PlaywrightError):
                await page.wait_for_load_state("networkidle", timeout=QUIET_S * 1000)
            html = await page.content()
            return html.encode("utf-8", "replace")[: self._settings.limits.page_size_bytes]
        finally:
            await context.close()

    async def _allowed(self, address: str) -> bool:
        """Return whether robots.txt allows what the page requests; the proxy decides about addresses."""
        try:
            url = normal(address)
        except UrlError:
            return address.startswith(("data:", "blob:"))
        if not self._site.holds(url):
            return True
        return (await self._client.rules(url)).allows(url)

    async def _running(self) -> PlaywrightBrowser:
        """Return the browser, started or replaced as needed."""
        async with self._starting:
            worn = self._pages >= BROWSER_RECYCLE_AFTER_PAGES and self._open == 0
            if self._browser is not None and (worn or not self._browser.is_connected()):
                await self._browser.close()
                self._browser = None
            if self._browser is None:
                assert self._playwright is not None
                self._pages = 0
                self._browser = await self._playwright.chromium.launch(
                    executable_path=self._program,
                    args=list(FLAGS),
                    proxy={"server": self._proxy.url},
                    chromium_sandbox=os.geteuid() != 0,
                    env={"PATH": os.environ.get("PATH", ""), "HOME": str(Path.home()), "LANG": "C.UTF-8"},
                )
            self._pages += 1
            return self._browser

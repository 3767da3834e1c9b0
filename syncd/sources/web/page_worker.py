"""The extraction process: `python -m syncd.sources.web.page_worker`, one page a request, jailed: it writes no file.

The parser is native code that reads untrusted pages; a crash costs only this process, not the daemon.
"""

from __future__ import annotations

from dataclasses import asdict

from syncd.errors import PermanentError
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame
from syncd.runtime.jail import Jail, JailLimits, confine
from syncd.sources.web.extract import extract

MEMORY_BYTES = 3 << 30
"""The largest of 19 hostile pages needed 2 GiB while it was parsed."""


def handle(request: Frame) -> Frame:
    """Answer `{url, content_type, max_links}` and the page's bytes with the fields of HtmlPage, Markdown as payload."""
    header = request.header
    try:
        page = extract(request.payload, header["url"], header["content_type"], header["max_links"])
    except (ValueError, RecursionError, MemoryError) as error:
        raise PermanentError(f"the page could not be read: {type(error).__name__}: {error}") from error
    values = asdict(page)
    markdown: str = values.pop("markdown")
    return Frame(values, markdown.encode("utf-8", "replace"))


def main() -> None:
    """Serve until the parent closes the pipe."""
    channel = open_channel()
    channel.serve(handle, {"jail_lacks": confine(Jail(limits=JailLimits(MEMORY_BYTES)))})


if __name__ == "__main__":
    main()

"""The one engine that makes Markdown of HTML, for crawled pages and for uploaded files and chapters.

Two ways in: `main_content` leaves out what a website puts around a page's content, `whole_document` keeps everything a file
says. Both parse with `charset.parsed` and render with `markdown.to_markdown`. Everything is pure and never waits, but may be
slow or greedy on hostile input: call it in a worker process.
"""

PAGE_VERSION = 4
"""Raise it when `main_content` yields other Markdown of the same page, so that unchanged pages are read once more. For `whole_document` there is
the version of its formats in `model/formats.py`."""

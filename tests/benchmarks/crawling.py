"""Measures the web source against its peers on material given by path; nothing is fetched from outside.

    python -m tests.benchmarks.crawling speed URL [--peer scrapy]      a local copy of a site, served on loopback
    python -m tests.benchmarks.crawling fidelity FOLDER [--pages N]    a folder of real documentation pages
    python -m tests.benchmarks.crawling words FOLDER [--pages N]       FOLDER/html/*.html.gz, FOLDER/ground-truth/*.json
    python -m tests.benchmarks.crawling articles FOLDER                FOLDER/html/*.html.gz, FOLDER/ground-truth.json

`words` reads the layout of the web-content-extraction-benchmark (word F1), `articles` that of the
article-extraction-benchmark (F1 of 4-word shingles). Peers that are not installed are left out. Times are CPU seconds of
this process and its children.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from statistics import mean

import turbohtml

PageWorkers = Callable[[bytes, str], str]


# --- extractors ---------------------------------------------------------------------------------------------------


def ours(data: bytes, url: str) -> str:
    from syncd.sources.web.extract import extract

    return extract(data, url, "text/html", 1000).markdown


def by_trafilatura(data: bytes, url: str) -> str:
    import trafilatura

    return (
        trafilatura.extract(
            data, url=url, output_format="markdown", include_links=True, include_formatting=True, include_tables=True
        )
        or ""
    )


def by_trafilatura_text(data: bytes, url: str) -> str:
    import trafilatura

    return trafilatura.extract(data, url=url) or ""


def by_readability(data: bytes, url: str) -> str:
    import html_to_markdown  # pyright: ignore[reportMissingImports] - a peer, asked for by hand
    from readability import Document  # pyright: ignore[reportMissingImports] - a peer, asked for by hand

    result = html_to_markdown.convert(Document(data.decode("utf-8", "replace"), url=url).summary())
    return result if isinstance(result, str) else result.content or ""


EXTRACTORS: dict[str, tuple[str, PageWorkers]] = {
    "syncd": ("syncd", ours),
    "trafilatura Markdown": ("trafilatura", by_trafilatura),
    "trafilatura text": ("trafilatura", by_trafilatura_text),
    "readability + html-to-markdown": ("readability", by_readability),
}


# --- scores -------------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def overlap_f1(mine: Counter, truth: Counter) -> float:
    if not truth or not mine:
        return float(not truth and not mine)
    return 2 * (mine & truth).total() / (mine.total() + truth.total())


def shingles(text: str) -> Counter:
    tokens = re.findall(r"\w+", text)
    return (
        Counter(tuple(tokens[start : start + 4]) for start in range(max(1, len(tokens) - 3))) if tokens else Counter()
    )


def plain(markdown: str) -> str:
    """Strip what Markdown adds to the words."""
    text = re.sub(r"!?\[([^\]]*)\]\((?:[^()]|\([^()]*\))*\)", r"\1", markdown)
    text = re.sub(r"^\s*(```|~~~)[\w+-]*$", "", text, flags=re.MULTILINE)
    return re.sub(r"^\s*\|?(?:\s*:?-{3,}:?\s*\|)+\s*:?-*:?\s*$", "", text, flags=re.MULTILINE)


def fidelity(data: bytes, markdown: str) -> dict[str, float]:
    """Return which share of a page's own headings, code blocks, table rows and links its Markdown has."""
    root = turbohtml.parse(data, positions=False).select_one(
        "main,[role=main],article,div.body,#yui-main,#content,#page-content,body"
    )
    assert root is not None
    root.remove(
        "nav,script,style,a.headerlink,[role=navigation],.navheader,.navfooter,#quickview,.toc,.sphinxsidebar,#hd,#ft,#sidebar,.viewcode-back"
    )
    squeezed = squeeze(markdown)
    lines = {squeeze(line.lstrip("#")) for line in markdown.split("\n") if line.startswith("#")}
    headings = [squeeze(one.text) for one in root.select("h1,h2,h3,h4") if one.text.strip()]
    blocks = [one.text.strip("\n") for one in root.select("pre") if one.text.strip()]
    rows = [
        ["".join(words(cell.text)) for cell in row.select("td,th")]
        for row in root.select("tr")
        if row.select("pre") == []
    ]
    links = [one for one in root.select("a[href]") if one.text.strip() and not (one.attr("href") or "").startswith("#")]
    fences = re.findall(r"^( *)```[^\n]*\n(.*?)^ *```", markdown, re.MULTILINE | re.DOTALL)
    fenced = {re.sub(f"^{indent}", "", block, flags=re.MULTILINE).strip() for indent, block in fences}
    letters = "".join(words(plain(markdown)))
    found = {
        "headings": [one in lines for one in headings],
        "code exact": [block.strip() in fenced for block in blocks],
        "table rows": [all(cell in letters for cell in row if cell) and "|" in markdown for row in rows if any(row)],
        "links": [f"[{squeeze(one.text)}]" in squeezed or f"[`{squeeze(one.text)}`]" in squeezed for one in links],
    }
    return {name: mean(map(float, hits)) for name, hits in found.items() if hits}


def squeeze(text: str) -> str:
    return re.sub(r"[\s*_`\\]+", "", re.sub(r"\]\([^)]*\)", "]", text))


# --- runs ---------------------------------------------------------------------------------------------------------


def one_page(name: str, html: Path, url: str, truth: str | None, shingled: bool) -> tuple[dict[str, float], float]:
    data = gzip.decompress(html.read_bytes()) if html.suffix == ".gz" else html.read_bytes()
    started = time.process_time()
    markdown = EXTRACTORS[name][1](data, url)
    seconds = time.process_time() - started
    if truth is None:
        return fidelity(data, markdown), seconds
    measure = shingles if shingled else lambda text: Counter(words(text))
    return {"F1": overlap_f1(measure(plain(markdown)), measure(truth))}, seconds


def compare(pages: list[tuple[Path, str, str | None, str]], shingled: bool = False) -> None:
    """Print one row per installed extractor: mean scores, scores by kind of page, pages per CPU second."""
    for name, (module, _) in EXTRACTORS.items():
        if find_spec(module) is None:
            continue
        scores: dict[str, list[float]] = defaultdict(list)
        spent = 0.0
        with ProcessPoolExecutor(2) as pool:
            columns = zip(*((html, url, truth) for html, url, truth, _ in pages), strict=True)
            results = pool.map(one_page, repeat(name), *columns, repeat(shingled), chunksize=8)
            for (result, seconds), (_, _, _, kind) in zip(results, pages, strict=True):
                spent += seconds
                for column, value in result.items():
                    scores[column].append(value)
                    if kind:
                        scores[kind].append(value)
        cells = "  ".join(f"{column} {mean(values):.3f}" for column, values in scores.items())
        print(f"{name:31} {cells}  pages/CPU-s {len(pages) / spent:.0f}", flush=True)


def sample(files: Iterable[Path], count: int) -> list[Path]:
    found = sorted(files)
    return sorted(random.Random(1).sample(found, count)) if 0 < count < len(found) else found


def truths(folder: Path, count: int) -> Iterator[tuple[Path, str, str, str]]:
    for file in sample((folder / "ground-truth").glob("*.json"), count):
        values = json.loads(file.read_text())
        kind = (values.get("_internal") or {}).get("page_type")
        kind = kind.get("primary") if isinstance(kind, dict) else kind
        html = folder / "html" / f"{file.stem}.html.gz"
        yield html, values.get("url") or "http://x/", values["ground_truth"].get("main_content") or "", kind or ""


def articles(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    for ident, values in json.loads((folder / "ground-truth.json").read_text()).items():
        yield folder / "html" / f"{ident}.html.gz", values["url"], values.get("articleBody", ""), ""


# --- speed --------------------------------------------------------------------------------------------------------

SPIDER = """
import html_to_markdown, scrapy
from scrapy.linkextractors import LinkExtractor
class Pages(scrapy.Spider):
    name = "pages"
    start_urls = [{url!r}]
    links = LinkExtractor(allow=[{prefix!r}])
    custom_settings = dict(ROBOTSTXT_OBEY=True, CONCURRENT_REQUESTS=16, CONCURRENT_REQUESTS_PER_DOMAIN=8, DOWNLOAD_DELAY=0,
        LOG_LEVEL="ERROR", DEPTH_PRIORITY=1, SCHEDULER_DISK_QUEUE="scrapy.squeues.PickleFifoDiskQueue",
        SCHEDULER_MEMORY_QUEUE="scrapy.squeues.FifoMemoryQueue", TELNETCONSOLE_ENABLED=False)
    def parse(self, response):
        if b"text/html" in response.headers.get("Content-Type", b""):
            text = html_to_markdown.convert(response.text)
            yield {{"url": response.url, "size": len(str(text))}}
            yield from response.follow_all(self.links.extract_links(response))
"""


def scrapy(url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefix = "^" + re.escape(url.rsplit("/", 1)[0])
        Path(folder, "pages.py").write_text(SPIDER.format(url=url, prefix=prefix))
        command = [sys.executable, "-m", "scrapy", "runspider", "pages.py", "-o", "out.jl"]
        started, before = time.monotonic(), cpu_s()
        subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)
        pages = len(Path(folder, "out.jl").read_text().splitlines())
        report("scrapy + html-to-markdown", pages, time.monotonic() - started, cpu_s() - before)


async def speed(url: str) -> None:
    from syncd.sources.registry import TYPES
    from syncd.sources.web.page_workers import PageWorkers as PageExtractor
    from syncd.sources.web.settings import WebSettings
    from syncd.sources.web.source import SiteSource
    from syncd.store.database import Database
    from tests.sources.web.crawling import Crawler

    settings = WebSettings(url, allow_private_addresses=("127.0.0.0/8",), rate_per_s=0, concurrency=8)
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(Path(folder, "state.db"), TYPES.migrations)
        crawler = None
        for name in ("syncd, first crawl", "syncd, nothing changed"):
            started, before = time.monotonic(), cpu_s()
            async with PageExtractor() as reader:
                source = SiteSource(settings, database, "s", reader)
                crawler = Crawler(source) if crawler is None else Crawler(source, crawler.index)
                index = await crawler.sync()
            # The reader's CPU time counts once it has ended.
            report(name, len(index.versions), time.monotonic() - started, cpu_s() - before, len(index.writes))
        await database.close()


def cpu_s() -> float:
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def report(name: str, pages: int, wall_s: float, spent_s: float, written: int | None = None) -> None:
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024
    more = "" if written is None else f"  written {written}"
    print(
        f"{name:28} {pages} pages  {pages / wall_s:.0f} pages/s  {pages / spent_s:.0f} pages/CPU-s  peak RSS {peak} MB{more}",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["speed", "fidelity", "words", "articles"])
    options.add_argument("where")
    options.add_argument("--pages", type=int, default=0, help="take so many, chosen at random with a fixed seed")
    options.add_argument("--peer", choices=["scrapy"])
    given = options.parse_args()
    match given.what:
        case "speed" if given.peer:
            scrapy(given.where)
        case "speed":
            asyncio.run(speed(given.where))
        case "fidelity":
            files = sample(Path(given.where).rglob("*.html"), given.pages)
            compare([(file, f"http://docs.example/{file.name}", None, "") for file in files])
        case "words":
            compare(list(truths(Path(given.where), given.pages)))
        case _:
            compare(list(articles(Path(given.where))), shingled=True)


if __name__ == "__main__":
    main()

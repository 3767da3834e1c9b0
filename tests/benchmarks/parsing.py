"""How well, how fast and in how much memory documents become Markdown.

    python -m tests.benchmarks.parsing FILE                      # the Markdown of one file, for scoring scripts that compare commands
    python -m tests.benchmarks.parsing --corpus CORPUS [--peers PYTHON] [--out FOLDER]

CORPUS holds `index.json` (id, file, expected_md, group), the files, and a `score.py` with `--pred-dir`, `--index` and `--out`.
PYTHON is that of an environment with markitdown, docling and rapidfuzz. A peer is not scored on groups whose truth it wrote
(`docling-*`, `markitdown-*`), and neither is the syncd it is compared with.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from syncd.errors import PermanentError
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.reading import PartReader

METRICS = ("text", "words", "head", "cells", "adj", "list")
PEERS = ("markitdown", "docling")
PICTURES = {"png", "jpg", "jpeg", "gif", "webp", "tif", "tiff"}
PEERS_SCRIPT = Path(__file__).with_name("parsing_peers.py")


async def convert(pool: PartReader, path: Path) -> tuple[str, int]:
    """Return a file's Markdown and its number of pages."""
    with path.open("rb") as file:
        parts = [part async for part in pool.parse(file, path.name)]
    return "".join(part.text for part in parts), sum(len(part.pages) for part in parts) or 1


async def convert_one(path: Path) -> str:
    async with PartReader(PreparerSettings(workers=1)) as pool:
        return (await convert(pool, path))[0]


async def convert_files(corpus: Path, items: Sequence[Mapping[str, str]], out: Path) -> tuple[int, int]:
    """Convert files by one worker, and return how many files and pages that were."""
    files = pages = 0
    async with PartReader(PreparerSettings(workers=1)) as pool:
        for item in items:
            try:
                text, count = await convert(pool, corpus / item["file"])
            except PermanentError as error:
                print(f"syncd: {error}", file=sys.stderr)
                continue
            (out / f"{item['id']}.md").write_text(text)
            files, pages = files + 1, pages + count
    return files, pages


def convert_corpus(corpus: Path, items: Sequence[Mapping[str, str]], out: Path) -> dict[str, float]:
    """Convert every file, each format by a pool of its own: what its processes used is known when that has ended."""
    total = {"files": 0.0, "pages": 0.0, "cpu_s": 0.0, "peak_mib": 0.0}
    for name, group in sorted(by_format(items).items()):
        before = children_cpu_s()
        files, pages = asyncio.run(convert_files(corpus, group, out))
        cpu_s = children_cpu_s() - before
        print(f"syncd, {name}: {files / cpu_s:.2f} files/CPU s, {pages / cpu_s:.2f} pages/CPU s")
        for figure, value in (("files", files), ("pages", pages), ("cpu_s", cpu_s)):
            total[figure] += value
    return {**total, "peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def convert_by_peer(python: str, tool: str, corpus: Path, out: Path) -> dict[str, float]:
    ran = subprocess.run([python, str(PEERS_SCRIPT), tool, str(corpus), str(out)], capture_output=True, text=True)
    print("\n".join(line for line in ran.stderr.splitlines() if line.startswith(f"{tool}: ")), file=sys.stderr)
    return json.loads(ran.stdout.splitlines()[-1])


def scores(python: str, corpus: Path, out: Path) -> dict[str, float]:
    """Return the mean of the metrics a file has, by its path; a file that was not converted scores nothing."""
    report = out / "scores.json"
    command = [python, str(corpus / "score.py"), "--pred-dir", str(out), "--index", str(corpus / "index.json")]
    subprocess.run([*command, "--out", str(report)], check=True, stdout=subprocess.DEVNULL)
    means: dict[str, float] = {}
    for row in json.loads(report.read_text())["rows"]:
        found = [row["score"][metric] for metric in METRICS if row["score"][metric] is not None]
        means[row["file"]] = sum(found) / len(found)
    return means


def format_of(item: Mapping[str, str]) -> str:
    suffix = item["file"].rsplit(".", 1)[1]
    if suffix in PICTURES:
        return "images"
    return "pdf, scanned" if item["group"] == "synth-scanpdf" else suffix


def by_format(items: Sequence[Mapping[str, str]]) -> dict[str, list[Mapping[str, str]]]:
    formats: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for item in items:
        formats[format_of(item)].append(item)
    return formats


def table(items: Sequence[Mapping[str, str]], found: Mapping[str, Mapping[str, float]], out: Path) -> str:
    """Return a row a format: syncd on all files, then syncd and each peer on the files that peer did not write the truth of."""
    lines = ["| format | files | syncd | " + " | ".join(f"files | syncd | {peer}" for peer in found if peer != "syncd")]
    columns: dict[str, list[float]] = defaultdict(list)

    def cell(column: str, files: Sequence[str], tool: str) -> str:
        values = [found[tool][file] for file in files]
        columns[column].append(sum(values) / len(values))
        return f"{columns[column][-1]:.3f}"

    for name, group in sorted(by_format(items).items()):
        row = [name, str(len(group)), cell("all", [item["file"] for item in group], "syncd")]
        for peer in (tool for tool in found if tool != "syncd"):
            fair = [item for item in group if not item["group"].startswith(peer)]
            read = any((out / peer / f"{item['id']}.md").exists() for item in fair)
            files = [item["file"] for item in fair]
            row += [str(len(files))]
            row += [cell(f"with {peer}", files, "syncd"), cell(peer, files, peer)] if read else ["no", "no"]
        lines.append("| " + " | ".join(row))
    means = {column: sum(values) / len(values) for column, values in columns.items()}
    row = ["**mean of formats**", str(len(items)), f"{means['all']:.3f}"]
    for peer in (tool for tool in found if tool != "syncd"):
        row += ["", f"{means[f'with {peer}']:.3f}", f"{means[peer]:.3f}"]
    lines.append("| " + " | ".join(row))
    lines.insert(1, "|" + "---|" * lines[0].count("|"))
    return "\n".join(f"{line} |" if at != 1 else line for at, line in enumerate(lines))


def compare(corpus: Path, peers: str | None, out: Path) -> None:
    items = json.loads((corpus / "index.json").read_text())
    found: dict[str, Mapping[str, float]] = {}
    for tool in ("syncd", *(PEERS if peers else ())):
        folder = out / tool
        folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        used = (
            convert_corpus(corpus, items, folder)
            if tool == "syncd"
            else convert_by_peer(str(peers), tool, corpus, folder)
        )
        wall_s = time.perf_counter() - started
        rates = f"{used['files'] / used['cpu_s']:.2f} files/CPU s"
        if "pages" in used:
            rates += f", {used['pages'] / used['cpu_s']:.2f} pages/CPU s"
        print(f"{tool}: {used['files']:.0f} files, {wall_s:.0f} s, {rates}, peak memory {used['peak_mib']:.0f} MiB")
        found[tool] = scores(peers or sys.executable, corpus, folder)
    print(table(items, found, out))


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("file", type=Path, nargs="?")
    arguments.add_argument("--corpus", type=Path)
    arguments.add_argument("--peers", metavar="PYTHON")
    arguments.add_argument("--out", type=Path)
    given: Any = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if given.corpus:
        with tempfile.TemporaryDirectory() as folder:
            compare(given.corpus.absolute(), given.peers, given.out or Path(folder))
        return
    try:
        sys.stdout.write(asyncio.run(convert_one(given.file)))
    except PermanentError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

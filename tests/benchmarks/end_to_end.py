"""The whole daemon at work on a real repository: efficiency, the cost of a small change, idling, memory.

    python -m tests.benchmarks.end_to_end [--files 3000] [--tokens 400000] [--threads 0] [--qwen3 FILE.gguf]

Everything is real: the program in a process of its own with its own Chroma server, git over smart HTTP, all-MiniLM-L6-v2 or,
with `--qwen3`, the default model or its shape (make_qwen3_shape.py).
Prints a Markdown table. The bare model is timed before and after the sync, on the very chunks that the daemon made.
"""

import argparse
import asyncio
import json
import random
import signal
import site
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from syncd.app.models import catalog_of, engine_options
from syncd.config import load_config
from syncd.model import Chunking, Part
from syncd.pipeline.effects import BYTES_PER_TOKEN as WINDOW_BYTES_PER_TOKEN
from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.local import EngineOptions, open_embedder
from tests.benchmarks.processes import Cpu, Watched
from tests.benchmarks.uploading import upload
from tests.daemon import MINILM, Daemon
from tests.git_server import GitServer
from tests.pipeline.chunking import chunks_of_document
from tests.serving import serve

BYTES_PER_TOKEN = 3.0
LEAST_BYTES, SPREAD = 60, 3
"""Files are from this size to this many times the mean."""
UPLOAD_MB, UPLOAD_INDEXING_S = 200, 120.0
INDEXED_MB = 20
LIMIT_S = 3600.0
CONFIGURATION = """
[api]
port = 0
[embedding]
default_model = "{model}"
models_dir = "{models}"
threads = {threads}
[github]
base_url = "{url}"
"""
SOURCE = """
[[sources]]
name = "{name}"
type = "github"
repository = "owner/{name}"
collection = "{name}"
"""
QWEN3 = "Qwen/Qwen3-Embedding-0.6B"
MODEL = """
[[models]]
name = "{name}"
path = "{path}"
"""


@dataclass
class Report:
    """The table, as it grows."""

    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, figure: str) -> None:
        self.rows.append((what, figure))
        print(f"{what}: {figure}", flush=True)

    def table(self) -> str:
        return "\n".join(
            ["", "| What | Figure |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in self.rows)]
        )


def real_files(count: int, tokens: int) -> dict[str, str]:
    """Return Python files of this environment, as large as they may be for all together to have some `tokens` tokens."""
    root = Path(site.getsitepackages()[0])
    sizes = sorted((path.stat().st_size, path) for path in root.rglob("*.py") if path.stat().st_size >= LEAST_BYTES)
    if len(sizes) < count:
        raise SystemExit(f"only {len(sizes)} Python files are installed here; ask for fewer --files")
    usual = [path for size, path in sizes if size <= tokens * BYTES_PER_TOKEN / count * SPREAD]
    paths = sorted(usual if len(usual) >= count else [path for _, path in sizes[:count]])
    random.Random(7).shuffle(paths)
    return {f"src/{path.relative_to(root)}": path.read_text("utf-8", "replace") for path in paths[:count]}


def chunked(files: dict[str, str], max_tokens: int) -> list[str]:
    """Return what the daemon will embed, each text once: its own chunker, in this process."""
    target_size_bytes = min(Chunking().target_size_bytes, int(max_tokens * WINDOW_BYTES_PER_TOKEN))
    chunking = Chunking(target_size_bytes=target_size_bytes)
    texts = {
        chunk.embedded_text: None
        for path, text in sorted(files.items())
        for chunk in chunks_of_document([Part(text, "text")], path, chunking)
    }
    return list(texts)


@dataclass(frozen=True)
class Bare:
    """What the model's process needs when nothing else is done."""

    wall_s: float
    cpu_s: float
    tokens: int


def model_of(folder: Path) -> tuple[EmbeddingModel, EngineOptions]:
    """Return the model of the daemon in `folder` and how it runs."""
    config = load_config(folder / "syncd.toml", {})
    name = config.embedding.default_model
    return catalog_of(config).find(name), engine_options(config, name)


async def bare(folder: Path, texts: list[str]) -> Bare:
    """Embed with nothing but the model's process as the daemon in `folder` has it, all texts at hand from the start."""
    model, options = model_of(folder)
    async with open_embedder(model, folder / "models", options) as embedder:
        await embedder.embed(texts[:32], "document")
        model = Watched(embedder.process.pid)
        before, began = model.cpu(), time.monotonic()
        embedded = await embedder.embed(texts, "document")
        return Bare(time.monotonic() - began, (model.cpu() - before).all_s, embedded.tokens)


def ask(daemon: Daemon, method: str, path: str, body: object = None):
    """Call the daemon's API."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"x-chroma-token": daemon.token(), "content-type": "application/json"}
    request = urllib.request.Request(daemon.announced()["url"] + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read() or b"null")


def invoke(daemon: Daemon, name: str) -> str:
    """Start a run of a declared source into its collection."""
    ((source,),) = daemon.rows("SELECT id FROM sources WHERE name = ?", name)
    return ask(daemon, "POST", f"/api/v1/sources/{source}/invocations", {"target_collection_name": name})[
        "invocation_id"
    ]


def declare(daemon: Daemon, name: str) -> str:
    """Add a repository to the configuration of the running daemon, which syncs it; return the invocation."""
    assert daemon.process is not None
    with (daemon.folder / "syncd.toml").open("a") as file:
        file.write(SOURCE.format(name=name))
    daemon.process.send_signal(signal.SIGHUP)
    statement = "SELECT i.id FROM invocations i JOIN sources s ON s.id = i.source_id WHERE s.name = ?"
    while not (found := daemon.rows(statement, name)):
        time.sleep(0.02)
    return found[0][0]


def settled(daemon: Daemon, invocation: str) -> tuple[dict, float]:
    """Wait for the end of a run; return its counts and the seconds from its creation to its end."""
    deadline = time.monotonic() + LIMIT_S
    statement = "SELECT state, counts, error, finished_at - created_at FROM invocations WHERE id = ?"
    while True:
        ((state, counts, error, seconds),) = daemon.rows(statement, invocation)
        if state not in ("pending", "processing"):
            assert state == "complete", error
            return json.loads(counts), seconds
        assert time.monotonic() < deadline, daemon.log()
        time.sleep(0.1)


def reset(watched: Watched) -> float:
    """Begin a measurement of memory and return the least of what it is now: what idling costs."""
    watched.forget_peak()
    return watched.memory_mib()


def measure_idle(report: Report, watched: Watched, seconds: float) -> float:
    """Report what doing nothing costs; return the daemon's memory."""
    before = watched.cpu()
    time.sleep(seconds)
    used = watched.cpu() - before
    idle_mib = watched.memory_mib()
    rest = ", ".join(f"{name} {mib:.0f}" for name, mib in sorted(watched.children_memory_mib().items()))
    report.add("idle CPU, daemon alone", f"{used.own_s * 60 / seconds:.2f} s a minute")
    report.add("idle CPU, its children", f"{used.children_s * 60 / seconds:.2f} s a minute")
    report.add("idle memory, daemon alone", f"{idle_mib:.0f} MiB")
    report.add("idle memory, its children", f"{rest} MiB")
    return idle_mib


def measure_sync(report: Report, daemon: Daemon, watched: Watched) -> tuple[dict, float, Cpu]:
    """Sync the repository whole; return counts, wall and CPU seconds."""
    idle_mib, before = reset(watched), watched.cpu()
    counts, wall_s = settled(daemon, declare(daemon, "code"))
    used = watched.cpu() - before
    report.add("full sync", f"{counts['indexed']} files, {counts['chunks_written']} chunks, {counts['tokens']} tokens")
    report.add("full sync, wall", f"{wall_s:.1f} s = {counts['tokens'] / wall_s:.0f} tokens/s")
    report.add("full sync, CPU", str(used))
    report.add("daemon's peak memory above idle, full sync", f"{watched.peak_mib() - idle_mib:.0f} MiB")
    return counts, wall_s, used


def measure_change(report: Report, daemon: Daemon, watched: Watched, full_s: float, full: Cpu) -> None:
    """Report what the sync of a commit that changes one file costs next to the full one's cost."""
    before = watched.cpu()
    counts, wall_s = settled(daemon, invoke(daemon, "code"))
    used = watched.cpu() - before
    assert counts["indexed"] == 1, counts
    report.add("re-sync of one changed file, wall", f"{wall_s:.2f} s = {wall_s / full_s:.2%} of the full sync")
    report.add(
        "re-sync of one changed file, CPU", f"{used.all_s:.2f} s = {used.all_s / full.all_s:.2%} of the full sync"
    )


def measure_uploads(report: Report, daemon: Daemon, watched: Watched) -> None:
    """Report the daemon's peak over the whole way of one text, and over the beginning of a larger one's."""
    idle_mib, address = reset(watched), (daemon.announced()["url"], daemon.token(), MINILM)
    counts, seconds = settled(daemon, upload(*address, INDEXED_MB))
    figure = f"{watched.peak_mib() - idle_mib:.0f} MiB ({counts['chunks_written']} chunks, {seconds:.0f} s)"
    report.add(f"daemon's peak memory above idle, {INDEXED_MB} MB of text received and indexed", figure)
    watched.forget_peak()
    invocation = upload(*address, UPLOAD_MB)
    report.add(f"the same, {UPLOAD_MB} MB received", f"{watched.peak_mib() - idle_mib:.0f} MiB")
    time.sleep(UPLOAD_INDEXING_S)
    report.add(f"the same, and {UPLOAD_INDEXING_S:.0f} s of indexing them", f"{watched.peak_mib() - idle_mib:.0f} MiB")
    if daemon.unsettled():
        ask(daemon, "PUT", f"/api/v1/invocations/{invocation}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=3000)
    options.add_argument("--tokens", type=int, default=400_000, help="of the whole repository, roughly")
    options.add_argument("--bare-share", type=float, default=0.25, help="of the chunks the bare model embeds, twice")
    options.add_argument("--threads", type=int, default=0, help="of the model; 0 is every core, the daemon's default")
    options.add_argument("--qwen3", type=Path, metavar="FILE", help="a GGUF file of the default model to measure with")
    options.add_argument("--idle-s", type=float, default=30.0)
    options.add_argument("--no-uploads", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(given, Path(folder))


def measure(given: argparse.Namespace, folder: Path) -> None:
    """Take all measurements in `folder`."""
    files = real_files(given.files, given.tokens)
    server = GitServer(folder / "git")
    server.held.set()
    server.folder.mkdir()
    server.create("owner/small", {"a.md": "# A\n\nTo load the model.\n"})
    server.create("owner/code", dict(files))
    with serve(server.answer) as server.url:
        model = QWEN3 if given.qwen3 else MINILM
        text = CONFIGURATION.format(model=model, models=folder / "models", threads=given.threads, url=server.url)
        text += MODEL.format(name=QWEN3, path=given.qwen3.absolute()) if given.qwen3 else ""
        daemon = Daemon(folder, text)
        report = Report()
        try:
            measure_daemon(given, report, daemon, server, files)
        finally:
            daemon.stop()
    print(report.table())


def measure_daemon(
    given: argparse.Namespace,
    report: Report,
    daemon: Daemon,
    server: GitServer,
    files: dict[str, str],
) -> None:
    """Bare model, daemon, bare model; then what else it costs to run."""
    began = time.monotonic()
    daemon.start()
    report.add("start until it serves", f"{time.monotonic() - began:.1f} s")
    assert daemon.process is not None
    watched = Watched(daemon.process.pid)
    settled(daemon, declare(daemon, "small"))
    measure_idle(report, watched, given.idle_s)
    texts = chunked(files, model_of(daemon.folder)[0].max_tokens)
    sample = texts[:: max(1, round(1 / given.bare_share))]
    bare_runs = [asyncio.run(bare(daemon.folder, sample))]
    counts, wall_s, used = measure_sync(report, daemon, watched)
    assert counts["indexed"] == len(files), counts
    bare_runs.append(asyncio.run(bare(daemon.folder, sample)))
    others = set(texts) - {text for (text,) in daemon.rows("SELECT DISTINCT context || text FROM chunks")}
    assert not others, (
        f"the bare model embedded {len(others)} texts that are no chunks of the daemon, such as {min(others)!r}"
    )
    measure_efficiency(report, counts["tokens"], wall_s, used, bare_runs)
    path, text = next(iter(files.items()))
    server.commit("owner/code", {path: text + "\n\ndef added_later():\n    return 1\n"})
    measure_change(report, daemon, watched, wall_s, used)
    if not given.no_uploads:
        measure_uploads(report, daemon, watched)


def measure_efficiency(report: Report, tokens: int, wall_s: float, used: Cpu, bare_runs: list[Bare]) -> None:
    """Report the daemon's speed as a share of the bare model's, by the clock and by processor time."""
    rates = [run.tokens / run.wall_s for run in bare_runs]
    report.add("bare model, before and after", " and ".join(f"{rate:.0f}" for rate in rates) + " tokens/s")
    bare_wall_s = tokens * sum(run.wall_s for run in bare_runs) / sum(run.tokens for run in bare_runs)
    bare_cpu_s = tokens * sum(run.cpu_s for run in bare_runs) / sum(run.tokens for run in bare_runs)
    report.add("pipeline efficiency by the clock", f"{bare_wall_s / wall_s:.2f}")
    report.add("pipeline efficiency by CPU time (bare model ÷ everything)", f"{bare_cpu_s / used.all_s:.2f}")
    report.add("CPU time of the model's process, in the daemon ÷ bare", f"{used.model_s / bare_cpu_s:.2f}")


if __name__ == "__main__":
    main()

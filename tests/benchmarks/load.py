"""Two hundred readers while a sync runs: `python -m tests.benchmarks.load [--clients 200] [--every-s 10] [--rounds 4]`.

A folder gets new files, and the time from its run's start to its end is taken, by turns without readers and with them. Each reader asks one of
the endpoints in turn, once in `--every-s` seconds, whether or not its last answer was slow. The readers are a process of their own with
the lowest priority, since they compete for the same cores. Printed: answers a second, p50 and p99 of each endpoint, errors, what a round
of either kind took and used.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import aiohttp

from tests.benchmarks.git_scale import WORDS
from tests.benchmarks.large import CONFIGURATION, SOURCE
from tests.benchmarks.processes import Watched
from tests.daemon import Daemon

COLLECTION = {"database_name": "default_database", "collection_name": "notes"}
LISTED = "database_name=default_database&collection_name=notes"
ENDPOINTS = {
    "status": ("/api/v1/status", None),
    "sources": ("/api/v1/sources", None),
    "runs": ("/api/v1/invocations", None),
    "documents": (f"/api/v1/documents?{LISTED}", None),
    "search by words": ("/api/v1/search", {**COLLECTION, "query": "", "mode": "sparse"}),
}
WORDS_IN_A_FILE = 40
ANSWER_LIMIT_S = 30.0
LIMIT_S = 1800.0
RUN_S = "SELECT finished_at - started_at FROM invocations WHERE state = 'complete' ORDER BY seq DESC LIMIT 1"
DONE = "SELECT count(*) FROM invocations WHERE state = 'complete'"


async def read(url: str, token: str, clients: int, every_s: float) -> None:
    """Be the readers until standard input ends; then print each endpoint's latencies, and the errors."""
    spent, errors, ended = defaultdict(list), defaultdict(int), asyncio.Event()
    headers, limit = {"x-chroma-token": token}, aiohttp.ClientTimeout(ANSWER_LIMIT_S)

    async def reader(number: int, session: aiohttp.ClientSession) -> None:
        next_at = time.perf_counter() + every_s * number / clients
        for turn in range(number, sys.maxsize):
            await asyncio.sleep(next_at - time.perf_counter())
            name = [*ENDPOINTS][turn % len(ENDPOINTS)]
            path, body = ENDPOINTS[name]
            asked = body and {**body, "query": " ".join(random.sample(WORDS, 3))}
            # From when it was due: a reader that waits for an answer does not hide how long the next one would have waited.
            try:
                async with session.request("POST" if asked else "GET", url + path, json=asked) as answer:
                    await answer.read()
                    errors[f"{name}: {answer.status}"] += answer.status != 200
            except (aiohttp.ClientError, TimeoutError) as error:
                errors[f"{name}: {type(error).__name__}"] += 1
            spent[name].append(time.perf_counter() - next_at)
            next_at += every_s

    async with aiohttp.ClientSession(
        headers=headers, timeout=limit, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        readers = [asyncio.create_task(reader(number, session)) for number in range(clients)]
        asyncio.get_running_loop().add_reader(0, ended.set)
        await ended.wait()
        for one in readers:
            one.cancel()
    print(json.dumps({"spent": spent, "errors": errors, "cpu_s": time.process_time()}))


class Readers:
    """The process of the readers, for the length of the block."""

    def __init__(self, daemon: Daemon, clients: int, every_s: float) -> None:
        self._words = ("--as-readers", daemon.announced()["url"], daemon.token(), str(clients), str(every_s))
        self.found: dict = {}

    def __enter__(self) -> "Readers":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.load", *self._words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.nice(19),
        )
        time.sleep(3.0)
        return self

    def __exit__(self, *_error: object) -> None:
        self.found = json.loads(self._process.communicate()[0])


def synced(daemon: Daemon, folder: Path, round_number: int, files: int) -> float:
    """Add new files and return how long the run took that brought them."""
    runs = daemon.rows(DONE)[0][0]
    batch = folder / f"unfinished-{round_number}"
    batch.mkdir()
    for number in range(files):
        (batch / f"{number}.txt").write_text(" ".join(random.choices(WORDS, k=WORDS_IN_A_FILE)))
    (folder / "notes").mkdir(exist_ok=True)
    batch.rename(folder / "notes" / f"{round_number}")
    daemon.wait_until(lambda: daemon.rows(DONE)[0][0] > runs and daemon.unsettled() == 0, LIMIT_S)
    return daemon.rows(RUN_S)[0][0]


def measure(folder: Path, given: argparse.Namespace) -> None:
    (folder / "notes").mkdir(parents=True)
    daemon = Daemon(
        folder, CONFIGURATION + SOURCE.format(name="notes", path=folder / "notes", collection="notes")
    ).start()
    spent, errors = defaultdict(list), defaultdict(int)
    took, used, asked_s, answers = {False: [], True: []}, {False: [], True: []}, 0.0, 0
    try:
        assert daemon.process is not None
        watched = Watched(daemon.process.pid)
        synced(daemon, folder, 0, given.files)
        for turn in range(1, 2 * given.rounds + 1):
            is_read = turn % 2 == 0
            before = watched.cpu()
            if is_read:
                with Readers(daemon, given.clients, given.every_s) as readers:
                    began = time.perf_counter()
                    took[True].append(synced(daemon, folder, turn, given.files))
                    asked_s += time.perf_counter() - began
                for name, some in readers.found["spent"].items():
                    spent[name] += some
                    answers += len(some)
                for name, count in readers.found["errors"].items():
                    errors[name] += count
            else:
                took[False].append(synced(daemon, folder, turn, given.files))
            used[is_read].append((watched.cpu() - before).own_s)
            print(
                f"{'with' if is_read else 'without'} readers: {took[is_read][-1]:.1f} s, {used[is_read][-1]:.1f} CPU s",
                flush=True,
            )
    finally:
        daemon.stop()
    for name, some in spent.items():
        cut = statistics.quantiles(some, n=100)
        print(f"{name}: {len(some)} answers, p50 {1000 * statistics.median(some):.0f} ms, p99 {1000 * cut[98]:.0f} ms")
    print(
        f"{answers / asked_s:.1f} answers a second; errors: { {name: count for name, count in errors.items() if count} }"
    )
    pairs = [without / read for without, read in zip(took[False], took[True], strict=True)]
    print(
        f"pace with readers, of that without: {statistics.median(pairs):.2f} (pairs: {', '.join(f'{one:.2f}' for one in pairs)})"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-readers"]:
        asyncio.run(read(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--every-s", type=float, default=10.0)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=4)
    with tempfile.TemporaryDirectory() as temporary:
        measure(Path(temporary) / "run", parser.parse_args())

"""Real parts that several tests share."""

import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass

import hypothesis
import pytest
import structlog

from syncd.chroma.server import HOST, free_port

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So shells start what runs in the background, and what tests start, and interrupt, would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

*_BEFORE_RENDERING, _ = structlog.get_config()["processors"]
PLAIN_LOG = [*_BEFORE_RENDERING, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
"""Where nothing sets logging up, structlog would take a second to draw a traceback with all that its functions know."""


@dataclass(frozen=True)
class ChromaAddress:
    """Where the real Chroma server of this test process listens."""

    host: str
    port: int


@pytest.fixture(autouse=True)
def _logging_as_before():
    """A test that sets logging up, such as one that calls the command line, leaves it to the next test as it was.

    Otherwise the next test would log into the stream that was captured for this one and is closed.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.configure(processors=PLAIN_LOG)
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory):
    """One real `chroma run` for all tests of this process; keep apart by names: see `fresh_name`."""
    with chroma_running(tmp_path_factory.mktemp("chroma")) as address:
        yield address


@contextmanager
def chroma_running(folder):
    """A real `chroma run` that keeps its data in `folder`."""
    port = free_port()
    program = "import sys, chromadb_rust_bindings as chroma; chroma.cli(['chroma', *sys.argv[1:]])"
    arguments = ["run", "--path", str(folder / "data"), "--host", HOST, "--port", str(port)]
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-P", "-c", program, *arguments],
            stdout=output,
            stderr=output,
            env={**os.environ, "ANONYMIZED_TELEMETRY": "False"},
        )
    try:
        wait_for_heartbeat(server, port, folder / "output")
        yield ChromaAddress(HOST, port)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


@pytest.fixture
def fresh_name():
    """A name for a database or collection that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


def wait_for_heartbeat(server, port, output):
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/api/v2/heartbeat", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, output.read_text()
            time.sleep(0.1)
    raise AssertionError(f"no heartbeat within a minute: {output.read_text()}")


pytest_plugins = [
    "tests.aws_servers",
    "tests.azure_queues",
    "tests.azure_server",
    "tests.gcs_server",
    "tests.git_server",
    "tests.lfs_server",
    "tests.models",
    "tests.pubsub_server",
    "tests.qdrant_server",
]

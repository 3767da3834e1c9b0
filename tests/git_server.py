"""Real git repositories behind real smart HTTP on a loopback port, for tests and benchmarks.

    def test_something(git_server):
        first = git_server.create("owner/name", {"a.py": "print()"})
        second = git_server.commit("owner/name", {"a.py": None, "b.py": "new"})
        ...  # use git_server.url as base_url
        assert len(git_server.requests) < 6

The server runs `git http-backend` in a thread of its own, so it answers while the test blocks, and other processes.
"""

import asyncio
import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from syncd.sources.git.remote import Remote
from tests.serving import serve

REGULAR, EXECUTABLE, SYMLINK, SUBMODULE = "100644", "100755", "120000", "160000"


@dataclass(frozen=True)
class Entry:
    """A file that is more than its content: `mode` is REGULAR, EXECUTABLE, SYMLINK or SUBMODULE (data is its sha)."""

    data: bytes
    mode: str = REGULAR


Files = Mapping[str | bytes, str | bytes | Entry | None]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class GitServer:
    """Repositories by `owner/name`; all methods may be called from any thread."""

    folder: Path
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    """Statuses that the next requests get, one each; 0: an answer."""
    held: threading.Event = field(default_factory=threading.Event)
    """Clear it to keep every request waiting; `reached` tells that one waits."""
    reached: threading.Event = field(default_factory=threading.Event)

    def create(self, repository: str, files: Files, branch: str = "main") -> str:
        """Make a repository with one commit and return the commit's id."""
        path = self.path(repository)
        _git("init", "--bare", "--quiet", f"--initial-branch={branch}", str(path))
        _git(f"--git-dir={path}", "config", "uploadpack.allowAnySHA1InWant", "true")
        return self.commit(repository, files, branch) if files else ""

    def commit(self, repository: str, changes: Files, branch: str = "main", parent: str | None = "") -> str:
        """Commit `changes` (None deletes) on top of the branch, of `parent`, or (None) of nothing: a forced push."""
        path = self.path(repository)
        ref = f"refs/heads/{branch}"
        known = (
            parent
            if parent or parent is None
            else _git(f"--git-dir={path}", "for-each-ref", "--format=%(objectname)", ref)
        )
        stream = [f"commit {ref}\ncommitter A <a@example.org> {_next_second()} +0000\ndata 1\nx\n".encode()]
        if known:
            stream.append(f"from {known}\n".encode())
        elif parent is None:
            stream.insert(0, f"reset {ref}\n\n".encode())
        stream += [_change(name, value) for name, value in changes.items()]
        _git(f"--git-dir={path}", "fast-import", "--quiet", "--force", given=b"".join(stream))
        return _git(f"--git-dir={path}", "rev-parse", ref)

    def write(self, repository: str, kind: str, data: bytes) -> str:
        """Write an object as it is, however wrong, and return its id."""
        arguments = ("hash-object", "-t", kind, "-w", "--literally", "--stdin")
        return _git(f"--git-dir={self.path(repository)}", *arguments, given=data)

    def write_tree(self, repository: str, entries: Sequence[tuple[str, bytes, str]]) -> str:
        """Write a tree of entries (mode, name, object) in just this order, and return its id."""
        return self.write(
            repository, "tree", b"".join(b"%s %s\0%s" % (m.encode(), name, bytes.fromhex(o)) for m, name, o in entries)
        )

    def point(self, repository: str, ref: str, oid: str) -> None:
        """Let a ref point at an object, whatever that is."""
        (self.path(repository) / ref).parent.mkdir(parents=True, exist_ok=True)
        (self.path(repository) / ref).write_text(f"{oid}\n")

    def allow_filters(self, repository: str) -> None:
        """Give commits without their files, as the large hosts do; git's own server does not unless it is told to."""
        _git(f"--git-dir={self.path(repository)}", "config", "uploadpack.allowFilter", "true")

    def forget_unreachable(self, repository: str) -> None:
        """Throw away what no branch reaches, as a server may after a forced push."""
        path = self.path(repository)
        _git(f"--git-dir={path}", "reflog", "expire", "--expire=now", "--all")
        _git(f"--git-dir={path}", "-c", "gc.pruneExpire=now", "gc", "--quiet", "--prune=now")

    def delete_branch(self, repository: str, branch: str) -> None:
        _git(f"--git-dir={self.path(repository)}", "update-ref", "-d", f"refs/heads/{branch}")

    def require_token(self, repository: str, token: str) -> None:
        """Answer 401 for this repository to everybody else, as GitHub does for private ones."""
        self.tokens[repository] = token

    def path(self, repository: str) -> Path:
        return self.folder / f"{repository}.git"

    def remote(self, repository: str) -> Remote:
        """Return where git finds a repository."""
        return Remote(f"{self.url}/{repository}.git", repository)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(Request(request.method, request.path_qs, dict(request.headers)))
        body = await request.read()
        self.reached.set()
        await asyncio.to_thread(self.held.wait)
        if self.failures and (status := self.failures.pop(0)):
            return web.Response(status=status)
        repository = "/".join(request.path.lstrip("/").split("/")[:2]).removesuffix(".git")
        if repository in self.renamed:
            target = request.path_qs.replace(repository, self.renamed[repository], 1)
            return web.Response(status=301, headers={"Location": self.url + target})
        return self.refusal(repository, request) or await asyncio.to_thread(self._backend, request, body)

    def refusal(self, repository: str, request: web.Request) -> web.Response | None:
        """Return the answer to somebody who may not read the repository."""
        if repository in self.tokens:
            expected = base64.b64encode(f"x-access-token:{self.tokens[repository]}".encode()).decode()
            if request.headers.get("Authorization") != f"Basic {expected}":
                return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="GitHub"'})
        return None

    def _backend(self, request: web.Request, body: bytes) -> web.Response:
        # git gzips large bodies and aiohttp has unpacked them: no Content-Encoding, and our own length.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
        }
        command = ["git", "-c", "safe.directory=*", "http-backend"]
        output = subprocess.run(command, input=body, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        head, _, content = output.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=content)


class SlowServer(GitServer):
    """A server that counts objects for a while before it sends them, and sends Git's keep-alives meanwhile."""

    keepalives: int = 0
    every_s: float = 0.2

    async def answer(self, request: web.Request) -> web.StreamResponse:
        whole = await super().answer(request)
        before, mark, pack = bytes(getattr(whole, "body", None) or b"").partition(b"000dpackfile\n")
        if not mark:
            return whole
        slow = web.StreamResponse(headers={"Content-Type": whole.headers["Content-Type"]})
        await slow.prepare(request)
        await slow.write(before + mark)
        for _ in range(self.keepalives):
            await asyncio.sleep(self.every_s)
            await slow.write(b"0005\1")
        await slow.write(pack)
        return slow


@pytest.fixture
def git_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    server = GitServer(tmp_path_factory.mktemp("git_server"))
    server.held.set()
    with serve(server.answer) as server.url:
        yield server
        server.held.set()


_seconds = iter(range(1_700_000_000, 1_800_000_000))


def _next_second() -> int:
    """Commits of equal content must differ."""
    return next(_seconds)


def _change(name: str | bytes, value: str | bytes | Entry | None) -> bytes:
    path = _quoted(name if isinstance(name, bytes) else name.encode())
    if value is None:
        return b"D " + path + b"\n"
    entry = value if isinstance(value, Entry) else Entry(value if isinstance(value, bytes) else value.encode())
    if entry.mode == SUBMODULE:
        return b"M 160000 " + entry.data + b" " + path + b"\n"
    return b"M %s inline %s\ndata %d\n%s\n" % (entry.mode.encode(), path, len(entry.data), entry.data)


def _quoted(path: bytes) -> bytes:
    escaped = b"".join(
        b"\\%03o" % byte if byte < 32 or byte > 126 or byte in b'"\\' else bytes([byte]) for byte in path
    )
    return b'"' + escaped + b'"'


def _git(*arguments: str, given: bytes = b"") -> str:
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    output = subprocess.run(["git", *arguments], input=given, env=environment, capture_output=True)
    assert output.returncode == 0, output.stderr.decode()
    return output.stdout.decode().strip()

"""What a hostile repository, server or caller must not be able to do, and where a token must not be found."""

import base64
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import anyio.lowlevel
import psutil
import pytest

from syncd.errors import RetryableError, SyncdError
from syncd.sources.git.program import Git, Reach
from syncd.sources.git.refs import Ref
from syncd.sources.git.remote import Login, Remote
from syncd.sources.git.repository import Repository
from syncd.sources.git.source import RepositorySettings, RepositorySource
from tests.git_server import SYMLINK, Entry, GitServer
from tests.sources.running import SyncedCollection

TOKEN = "ghs_1_verysecrettoken"
ENCODED = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


class FixedToken:
    """In place of an App's."""

    async def login(self) -> Login:
        return Login("x-access-token", TOKEN)

    def forget(self) -> bool:
        return True


def private_source(git_server: GitServer, folder: Path) -> RepositorySource:
    git_server.require_token("owner/name", TOKEN)
    return RepositorySource(RepositorySettings(git_server.remote("owner/name")), folder, FixedToken())


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_the_token_is_in_no_argument_and_in_no_file(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {"a": "a"})
    source = private_source(git_server, tmp_path / "git")
    seen: list[str] = []
    done = threading.Event()

    def scan() -> None:
        while not done.is_set():
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(process.read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue

    scanner = threading.Thread(target=scan)
    scanner.start()
    await SyncedCollection().sync(source)
    done.set()
    scanner.join()
    assert any("fetch" in line and "git" in line for line in seen)
    assert not [line for line in seen if TOKEN in line or ENCODED in line]
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert TOKEN.encode() not in file.read_bytes()
            assert ENCODED.encode() not in file.read_bytes()


async def test_the_token_goes_to_its_own_origin_only(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {"a": "a"})
    other = Git(tmp_path / "git", Remote("http://localhost:1/owner/name.git", "owner/name"))
    (tmp_path / "git").mkdir()
    await other.call("init", "--bare", "--quiet")
    await other.call(
        "ls-remote", f"{git_server.url}/owner/name.git", reach=Reach(network=True, login=Login("x", TOKEN))
    )
    assert not [request for request in git_server.requests if "Authorization" in request.headers]


async def test_the_token_is_in_no_error(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {"a": "a"})
    source = private_source(git_server, tmp_path / "git")
    git_server.require_token("owner/name", "another")
    with pytest.raises(SyncdError) as caught:
        await SyncedCollection().sync(source)
    assert TOKEN not in repr(caught.value)
    assert ENCODED not in repr(caught.value)


async def test_an_argument_cannot_become_an_option(git_server: GitServer, tmp_path: Path) -> None:
    """Even without the checks in front: whatever reaches git comes after --end-of-options."""
    git_server.create("owner/name", {"a": "a"})
    repository = Repository(tmp_path / "git", git_server.remote("owner/name"))
    attack = f"--upload-pack=touch {tmp_path}/hacked"
    for attempt in (repository.head(Ref(branch=attack), None), repository.fetch(attack, None)):
        with pytest.raises(SyncdError):
            await attempt
    object.__setattr__(repository.git.remote, "url", attack)
    for attempt in (repository.head(Ref(), None), repository.fetch("0" * 40, None)):
        with pytest.raises(SyncdError):
            await attempt
    assert not (tmp_path / "hacked").exists()


def put_in_front_of_git(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Make `git` mean a script of ours; `$git` in it is the real one."""
    (folder / "bin").mkdir()
    (folder / "bin/git").write_text(f"#!/bin/sh\ngit={shutil.which('git')}\n{script}\n")
    (folder / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


async def test_whatever_comes_from_outside_stands_after_the_end_of_options(
    git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = git_server.create("owner/name", {"a": "a"})
    git_server.commit("owner/name", {"a": "b"}, branch="other", parent=first)
    put_in_front_of_git(tmp_path, monkeypatch, f'echo "$@" >> {tmp_path}/calls; exec "$git" "$@"')
    index = SyncedCollection()
    source = RepositorySource(RepositorySettings(git_server.remote("owner/name")), tmp_path / "copy")
    await index.sync(source)
    await index.sync(source, {"ref": {"branch": "other"}})
    calls = (tmp_path / "calls").read_text().splitlines()
    assert {call.split()[1] for call in calls} >= {"ls-remote", "fetch", "ls-tree", "diff-tree", "cat-file"}
    for call in calls:
        own, _, given = call.partition(" --end-of-options ")
        assert not [word for word in ("http:", first, "refs/heads", "owner/name") if word in own]
        assert not [word for word in given.split() if word.startswith("-")]


async def test_a_program_that_will_not_end_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    put_in_front_of_git(tmp_path, monkeypatch, f"trap '' TERM; sleep 1000 & echo $$ $! > {pids}; wait")
    monkeypatch.setattr("syncd.sources.git.program.KILL_GRACE_S", 0.01)
    (tmp_path / "copy").mkdir()

    async def cancel_once_started() -> None:
        while not (pids.exists() and pids.read_text().endswith("\n")):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_once_started)
            await Git(tmp_path / "copy", Remote("https://localhost/owner/name.git", "owner/name")).call("version")
    shell, sleep = map(int, pids.read_text().split())
    with anyio.fail_after(120):
        while is_running(shell) or is_running(sleep):
            await anyio.lowlevel.checkpoint()


async def test_nothing_that_looks_like_a_hook_or_a_configuration_acts(git_server: GitServer, tmp_path: Path) -> None:
    script = Entry(f"#!/bin/sh\ntouch {tmp_path}/hacked\n".encode(), "100755")
    names = ["hooks/post-checkout", "hooks/reference-transaction", "config", ".gitconfig", "HEAD", ".gitattributes"]
    git_server.create("owner/name", {**dict.fromkeys(names, script), ".gitattributes": "* filter=evil diff=evil\n"})
    index = SyncedCollection()
    source = RepositorySource(RepositorySettings(git_server.remote("owner/name")), tmp_path / "git")
    await index.sync(source)
    git_server.commit("owner/name", {"config": "x", "link": Entry(b"../../../etc/passwd", SYMLINK)})
    await index.sync(source)
    assert set(index.contents) == set(names)
    assert not (tmp_path / "hacked").exists()
    assert not list((tmp_path / "git").glob("hooks/*"))


async def test_a_reader_can_fetch_nothing(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {"a": "a"})
    repository = Repository(tmp_path / "git", git_server.remote("owner/name"))
    await repository.head(Ref(), None)
    git_server.requests.clear()
    with pytest.raises(SyncdError):
        await repository.git.call("ls-remote", repository.git.remote.url)
    assert git_server.requests == []


async def test_the_program_knows_nothing_of_our_environment(
    git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text(f'[url "http://127.0.0.1:9/"]\n\tinsteadOf = {git_server.url}\n')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {tmp_path}/hacked")
    git_server.create("owner/name", {"a": "a"})
    index = SyncedCollection()
    await index.sync(RepositorySource(RepositorySettings(git_server.remote("owner/name")), tmp_path / "git"))
    assert index.contents == {"a": b"a"}
    assert not (tmp_path / "trace").exists()


async def test_cancelling_a_fetch_ends_every_program_it_started(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {"a": "a"})
    source = RepositorySource(RepositorySettings(git_server.remote("owner/name")), tmp_path / "git")
    git_server.held.clear()
    before = {process.pid for process in descendants()}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(SyncedCollection().sync, source)
        await anyio.to_thread.run_sync(git_server.reached.wait)
        assert {process.pid for process in descendants()} - before
        tasks.cancel_scope.cancel()
    left = [process for process in descendants() if process.pid not in before]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
    git_server.held.set()
    index = SyncedCollection()
    await index.sync(source)
    assert index.contents == {"a": b"a"}


async def test_no_program_is_left_when_a_run_is_broken_off(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {f"f{number}": "x" for number in range(300)})
    source = RepositorySource(RepositorySettings(git_server.remote("owner/name")), tmp_path / "git")
    before, files = {process.pid for process in descendants()}, len(os.listdir("/proc/self/fd"))
    await SyncedCollection().sync(source, die_after=5)
    assert {process.pid for process in descendants()} == before
    assert len(os.listdir("/proc/self/fd")) <= files + 1


async def test_another_process_that_still_writes_is_waited_for(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {"a": "a"})
    source = RepositorySource(RepositorySettings(git_server.remote("owner/name")), tmp_path / "git")
    await source.head(Ref())
    with (tmp_path / "git/syncd.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SyncdError, match="another git is still working") as caught:
            await SyncedCollection().sync(source)
    assert caught.value.retry_after_s == 5  # type: ignore[attr-defined]
    await SyncedCollection().sync(source)


async def test_a_git_that_outlives_a_killed_daemon_keeps_its_right_to_write(
    git_server: GitServer, tmp_path: Path
) -> None:
    git_server.create("owner/name", {"a": "a"})
    source = RepositorySource(RepositorySettings(git_server.remote("owner/name")), tmp_path / "git")
    sha = await source.head(Ref())
    program = (
        "import anyio, pathlib\n"
        "from syncd.sources.git.remote import Remote\n"
        "from syncd.sources.git.repository import Repository\n"
        f"repository = Repository(pathlib.Path({str(tmp_path / 'git')!r}), {git_server.remote('owner/name')!r})\n"
        f"anyio.run(repository.fetch, {sha!r}, None)\n"
    )
    git_server.reached.clear()
    git_server.held.clear()
    daemon = subprocess.Popen([sys.executable, "-c", program])  # noqa: ASYNC220
    await anyio.to_thread.run_sync(git_server.reached.wait)
    daemon.kill()
    daemon.wait()
    with pytest.raises(SyncdError, match="another git is still working"):
        await SyncedCollection().sync(source, {"ref": {"sha": sha}})
    git_server.held.set()
    index = SyncedCollection()
    with anyio.fail_after(60):
        while not index.contents:
            with contextlib.suppress(RetryableError):
                await index.sync(source)
    assert index.contents == {"a": b"a"}

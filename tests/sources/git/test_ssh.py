"""Repositories over SSH: the real client, a real server, and keys that fit or do not."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from syncd.errors import ConfigError, PermanentError
from syncd.sources.git.remote import Remote, SshAccess
from syncd.sources.git.source import RepositorySettings, RepositorySource
from tests.git_server import GitServer
from tests.sources.running import SyncedCollection

KEY_KIND = "ssh-ed25519"


@asynccontextmanager
async def ssh_server(git_server: GitServer, folder: Path, host: asyncssh.SSHKey) -> AsyncIterator[int]:
    """Serve the repositories to whoever has the key `user`; yield the port."""

    async def upload_pack(process: asyncssh.SSHServerProcess[bytes]) -> None:
        path = git_server.folder / (process.command or "").split("'")[1].lstrip("/")
        environment = {**os.environ, "GIT_PROTOCOL": process.env.get("GIT_PROTOCOL", "")}
        git = await asyncio.create_subprocess_exec(
            "git", "upload-pack", path, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
        )
        assert git.stdin is not None
        assert git.stdout is not None
        assert git.stderr is not None
        feeding = asyncio.create_task(feed(process, git.stdin))
        while piece := await git.stdout.read(65536):
            process.stdout.write(piece)
        process.stderr.write(await git.stderr.read())
        feeding.cancel()
        process.exit(await git.wait())

    async def feed(process: asyncssh.SSHServerProcess[bytes], stdin: asyncio.StreamWriter) -> None:
        while piece := await process.stdin.read(65536):
            stdin.write(piece)
        stdin.close()

    listening = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host],
        authorized_client_keys=str(folder / "user.pub"),
        process_factory=upload_pack,
        encoding=None,
    )
    async with listening:
        yield listening.get_port()


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, asyncssh.SSHKey]:
    """Keys in files: of a user, of somebody else, and of the server."""
    made = {name: asyncssh.generate_private_key(KEY_KIND) for name in ("user", "stranger", "host")}
    for name, key in made.items():
        key.write_private_key(str(tmp_path / name))
        (tmp_path / name).chmod(0o600)
        key.write_public_key(str(tmp_path / f"{name}.pub"))
    return made


async def test_a_repository_is_read_with_its_key_from_a_server_that_is_known_and_from_no_other(
    git_server: GitServer, tmp_path: Path, keys: dict[str, asyncssh.SSHKey]
) -> None:
    git_server.create("owner/name", {"a": "a"})
    async with ssh_server(git_server, tmp_path, keys["host"]) as port:
        known, taken_over = tmp_path / "known", tmp_path / "taken-over"
        for file, key in ((known, keys["host"]), (taken_over, keys["stranger"])):
            file.write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
        (tmp_path / "unknown").touch()

        def source(key: str, hosts: str, repository: str = "owner/name") -> RepositorySource:
            url = f"ssh://git@127.0.0.1:{port}/{repository}.git"
            remote = Remote(url, url, SshAccess(tmp_path / key, tmp_path / hosts))
            return RepositorySource(RepositorySettings(remote), tmp_path / "git" / key / hosts)

        index = SyncedCollection(type="git")
        await index.sync(source("user", "known"))
        assert index.contents == {"a": b"a"}
        for hosts in ("taken-over", "unknown"):
            with pytest.raises(PermanentError, match=r"SSH key is not in git\.known_hosts_file"):
                await SyncedCollection(type="git").sync(source("user", hosts))
        with pytest.raises(PermanentError, match=r"does not accept ssh_key_file.*Permission denied"):
            await SyncedCollection(type="git").sync(source("stranger", "known"))
        with pytest.raises(PermanentError, match="does not exist, or may not be read"):
            await SyncedCollection(type="git").sync(source("user", "known", "owner/none"))


@pytest.mark.parametrize("path", ["key", "/a key", "/%h", "/a'b", "/a\nb", "/$HOME"])
def test_a_path_that_ssh_or_a_shell_could_take_for_something_else_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="paths of keys"):
        SshAccess(Path(path), Path("/known"))

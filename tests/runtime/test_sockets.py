"""A port is held before anybody serves it, and sockets work in folders of any depth."""

import asyncio
import re
import socket

import pytest

from syncd.errors import ConfigError
from syncd.runtime.sockets import LONGEST_PATH_BYTES, bound, http_url, reachable


async def test_the_port_is_known_before_it_is_served_and_stays_the_same_for_each_server():
    async with bound("127.0.0.1", 0) as sockets:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+", sockets.url)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*sockets.address)
        for name in (b"first", b"second"):

            async def answer(_, writer, name=name):
                writer.write(name)
                writer.close()

            (served,) = sockets.duplicates()
            async with await asyncio.start_server(answer, sock=served):
                reader, writer = await asyncio.open_connection(*sockets.address)
                assert await reader.read() == name
                writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*sockets.address)


async def test_a_port_that_another_program_serves_is_refused_with_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigError, match="choose another port"):
        async with bound("127.0.0.1", other.getsockname()[1]):
            pass


def test_an_address_of_version_6_is_put_in_brackets():
    assert http_url("::1", 8787) == "http://[::1]:8787"


@pytest.mark.parametrize("depth", [1, 60])
def test_a_socket_can_be_bound_and_reached_however_long_its_path(tmp_path, depth):
    folder = tmp_path.joinpath(*["folder"] * depth)
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with reachable(folder / "api.sock") as path:
            assert len(path) <= LONGEST_PATH_BYTES
            server.bind(path)
        server.listen()
        assert (folder / "api.sock").is_socket()
        with reachable(folder / "api.sock") as path:
            client.connect(path)
        client.send(b"x")
        assert server.accept()[0].recv(1) == b"x"

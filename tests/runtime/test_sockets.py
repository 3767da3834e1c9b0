"""Sockets work in folders of any depth."""

import socket

import pytest

from syncd.runtime.sockets import LONGEST_PATH_BYTES, reachable


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

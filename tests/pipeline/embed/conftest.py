import socket

import pytest

from syncd.pipeline.embed.llama import quieten
from tests.models import minilm, minilm_folder

__all__ = ["minilm", "minilm_folder"]


@pytest.fixture
def unused_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(autouse=True, scope="session")
def _quiet():
    quieten()

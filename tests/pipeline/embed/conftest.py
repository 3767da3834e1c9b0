import pytest

from syncd.chroma.server import free_port
from syncd.pipeline.embed.llama import quieten
from tests.models import minilm, minilm_folder

__all__ = ["minilm", "minilm_folder"]


@pytest.fixture
def unused_port():
    return free_port()


@pytest.fixture(autouse=True, scope="session")
def _quiet():
    quieten()

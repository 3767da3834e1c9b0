"""Where a worker finds a model's file."""

import pytest

from syncd.errors import ConfigError
from syncd.pipeline.ray.embedding_actor import path_on_this_node


def placed(*paths):
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"GGUF")


def test_a_model_is_at_its_own_path_or_in_the_folder_by_its_name(tmp_path):
    folder, bge, e5 = (tmp_path / name for name in ("models", "bge/model.gguf", "e5/model.gguf"))
    placed(bge, folder / "model.gguf")
    assert path_on_this_node(bge, folder) == bge
    assert path_on_this_node(e5, folder) == folder / "model.gguf"
    placed(e5)
    assert path_on_this_node(e5, folder) == e5
    assert path_on_this_node(folder, tmp_path) == folder


def test_a_model_that_is_nowhere_is_named_with_both_places(tmp_path):
    own, folder = tmp_path / "own" / "model.gguf", tmp_path / "models"
    with pytest.raises(ConfigError, match=f"{own} and no {folder / 'model.gguf'}; put the model's file at one of them"):
        path_on_this_node(own, folder)

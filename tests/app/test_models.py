"""Which file a model is computed with decides what its vectors are."""

import sys

import pytest

from syncd.app.models import engine_options, make_models, model_file
from syncd.config import Config
from syncd.errors import ConfigError
from syncd.pipeline.embed.engine import Cluster
from tests.app.test_daemon import configuration, source, until
from tests.daemon import MINILM, Daemon
from tests.git_server import GitServer
from tests.serving import serve

KEYS = "SELECT d.key, hex(c.vector_key) FROM chunks c JOIN documents d ON d.id = c.document_id ORDER BY 1"


def test_another_file_of_a_model_embeds_everything_anew_though_nothing_changed(minilm_folder, tmp_path):
    server = GitServer(tmp_path / "git")
    server.folder.mkdir()
    server.held.set()
    server.create("owner/pair", {"a.md": "# A\n\nA first text.\n", "b.md": "# B\n\nA second text.\n"})
    models = tmp_path / "models"
    models.mkdir()
    for file in minilm_folder.iterdir():
        (models / file.name).symlink_to(file)
    with serve(server.answer) as server.url:
        settings = configuration(models, source(server, "owner/pair", "pair"))
        daemon = Daemon(tmp_path / "daemon", settings).start()
        until(lambda: len(daemon.rows(KEYS)) == 2 and daemon.unsettled() == 0)
        before = daemon.rows(KEYS)
        assert daemon.stop() == 0
        daemon.config = settings + f'[[models]]\nname = "{MINILM}"\nquantisation = "Q8_0"\n'
        daemon.start()
        until(lambda: not set(daemon.rows(KEYS)) & set(before) and daemon.unsettled() == 0)
        assert [key for key, _ in daemon.rows(KEYS)] == ["a.md", "b.md"]
        assert daemon.stop() == 0


def test_a_models_file_is_told_by_its_path_quantisation_and_prompt():
    chosen = Config.model_validate({"models": [{"name": "a", "path": "/a.gguf"}, {"name": "b", "quantisation": "F16"}]})
    assert [model_file(chosen, name) for name in ("a", "b", "c")] == ["/a.gguf:", ":F16", ":"]
    prompted = Config.model_validate({"models": [{"name": "a", "path": "/a.gguf", "document_prompt": "passage: "}]})
    assert model_file(prompted, "a") == "/a.gguf::passage: "


def test_a_cluster_is_asked_for_workers_and_its_package_for_itself(monkeypatch, tmp_path):
    assert engine_options(Config(), MINILM).cluster is None
    given = Config.model_validate({"workers": {"ray": "ray://head:10001", "embedders": 4, "gpus": 0.5}})
    assert engine_options(given, MINILM).cluster == Cluster("ray://head:10001", 4, 1.0, 0.5)
    imported = set(sys.modules)
    make_models(given, tmp_path)
    assert not {name for name in set(sys.modules) - imported if name.partition(".")[0] == "ray"}
    monkeypatch.setattr("syncd.app.models.find_spec", lambda _: None)
    make_models(Config(), tmp_path)
    with pytest.raises(ConfigError, match=r"pip install 'syncd\[ray\]'"):
        make_models(given, tmp_path)

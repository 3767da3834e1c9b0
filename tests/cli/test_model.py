"""`syncd model`, as its user runs it: what it prints, what it writes, what it says when something is wrong."""

import json
import subprocess
import sys
import tomllib

import pytest

from syncd.cli import parser
from syncd.cli.bench import duration
from syncd.cli.execution import execute
from syncd.pipeline.sparse.splade_files import SPLADE
from tests.benchmarks.make_qwen3_shape import Shape, Vocabulary, write
from tests.models import minilm_folder
from tests.pipeline.embed.made_models import write_gemma
from tests.pipeline.embed.made_static import write_static
from tests.pipeline.sparse.test_splade import made as splade

__all__ = ["minilm_folder"]

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
QWEN3 = "Qwen/Qwen3-Embedding-0.6B"
SHAPE = Shape(layers=2, width=64, inner=128, heads=2, kv_heads=1, head_width=32, context=1024)


@pytest.fixture
def config(tmp_path, minilm_folder):
    file = tmp_path / "syncd.toml"
    text = f'# mine\nstate_dir = "{tmp_path / "state"}"\n[embedding]\ndefault_model = "{MINILM}"\nmodels_dir = "{minilm_folder}"\n'
    file.write_text(text)
    return file


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.gguf"
    write(path, Vocabulary.of_bytes(), SHAPE, kind="Q8_0")
    return path


@pytest.fixture
def model(capfd):
    """The command in this process: starting Python anew takes longer than most of what is asked."""

    def run(*arguments, config=None):
        given = ["--config", str(config)] if config else []
        try:
            status = execute(parser(["model"]).parse_args(["model", *map(str, arguments), *given]))
        except SystemExit as left:
            status = left.code
        return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())

    return run


def lines(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(done):
    assert done.returncode in (1, 78)
    assert done.stderr.startswith("syncd: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_list_shows_every_file_which_is_used_and_which_is_here(model, config):
    rows = lines(model("list", "--json", config=config))
    files = {(row["model"], row["file"]): row for row in rows}
    assert [kind for name, kind in files if name == QWEN3] == ["Q8_0", "F16", "Q4_K_M"]
    assert files[QWEN3, "Q8_0"]["used"]
    assert not files[QWEN3, "Q8_0"]["here"]
    assert files[MINILM, "F16"]["here"]
    assert files[MINILM, "F16"]["dimensions"] == 384
    assert "Q4_K_M" in model("list", config=config).stdout


def test_list_shows_the_servers_of_a_model_and_the_quantisation_chosen(model, config):
    more = f'[[embedding.servers]]\nurl = "http://gpu-1/v1"\n[[models]]\nname = "{MINILM}"\nquantisation = "Q8_0"\n'
    config.write_text(config.read_text() + more)
    rows = [row for row in lines(model("list", "--json", config=config)) if row["model"] == MINILM]
    assert [row["file"] for row in rows if row["used"]] == ["Q8_0"]
    assert rows[0]["servers"] == ["http://gpu-1/v1"]


def test_pull_makes_another_quantisation_and_says_how_to_use_it(model, config, minilm_folder):
    pulled = model("pull", MINILM, "--quantisation", "Q4_K_M", config=config)
    assert pulled.returncode == 0, pulled.stderr
    made = minilm_folder / "all-MiniLM-L6-v2-Q4_K_M.gguf"
    assert str(made) in pulled.stdout.replace("\n", "")
    assert 'quantisation = "Q4_K_M"' in pulled.stdout
    assert made.stat().st_size < (minilm_folder / "all-MiniLM-L6-v2-F16.gguf").stat().st_size / 1.5
    (again,) = lines(model("pull", MINILM, "--quantisation", "Q4_K_M", "--json", config=config))
    assert again["path"] == str(made)
    assert len(again["sha256"]) == 64


def test_the_sparse_model_is_listed_and_tried(model, config, tmp_path):
    (tmp_path / "splade").mkdir()
    config.write_text(config.read_text() + f'[search]\nsplade_dir = "{tmp_path / "splade"}"\n')
    assert "place its model.onnx" in refused(model("pull", SPLADE, config=config))
    splade(tmp_path / "splade")
    (pulled,) = lines(model("pull", SPLADE, "--json", config=config))
    assert len(pulled["sha256"]) == 64
    (row,) = [row for row in lines(model("list", "--json", config=config)) if row["model"] == SPLADE]
    assert row["here"]


def test_standard_output_is_json_alone(config):
    command = [sys.executable, "-m", "syncd", "model", "pull", MINILM, "--json", "--config", str(config)]
    (pulled,) = lines(subprocess.run(command, capture_output=True, text=True, timeout=300))
    assert pulled["path"].endswith(".gguf")


def test_a_quantisation_nobody_has_is_refused_with_those_there_are(model, config):
    assert "choose from F16, Q8_0, Q4_K_M" in refused(model("pull", MINILM, "--quantisation", "Q2_K", config=config))


def test_add_reads_the_file_pins_it_and_writes_the_configuration(model, config, tiny):
    added = model("add", "acme/tiny", tiny, "--query-prompt", 'a "question": ', config=config)
    assert added.returncode == 0, added.stderr
    text = config.read_text()
    assert text.startswith("# mine\n")
    (entry,) = tomllib.loads(text)["models"]
    assert (entry["pooling"], entry["dimensions"], entry["max_tokens"]) == ("last", 64, 1024)
    assert entry["query_prompt"] == 'a "question": '
    assert len(entry["sha256"]) == 64
    (pulled,) = lines(model("pull", "acme/tiny", "--json", config=config))
    assert pulled["sha256"] == entry["sha256"]
    with tiny.open("ab") as file:
        file.write(b"changed")
    assert "expected " + entry["sha256"] in refused(model("pull", "acme/tiny", config=config))
    assert "already" in refused(model("add", "acme/tiny", tiny, config=config))


def test_add_takes_the_folder_of_a_static_model_and_pins_its_files(model, config, tmp_path):
    folder = write_static(tmp_path / "static")
    assert model("add", "acme/static", folder, config=config).returncode == 0
    (entry,) = tomllib.loads(config.read_text())["models"]
    assert (entry["pooling"], entry["dimensions"], entry["path"]) == ("static", 24, str(folder))
    (pulled,) = lines(model("pull", "acme/static", "--json", config=config))
    assert pulled["sha256"] == entry["sha256"]
    (row,) = lines(model("bench", "acme/static", "--seconds", "0.2", "--json", config=config))
    assert row["tokens_per_s"] > 0
    write_static(folder, kind="float16")
    assert "expected " + entry["sha256"] in refused(model("pull", "acme/static", config=config))
    assert "holds no static model" in refused(model("add", "acme/other", tmp_path, config=config))


def test_add_gives_an_embeddinggemma_the_prompts_and_shorter_lengths_of_its_card(model, config, tmp_path):
    write_gemma(tmp_path / "gemma.gguf")
    added = model("add", "acme/gemma", tmp_path / "gemma.gguf", "--query-prompt", "mine: ", config=config)
    assert added.returncode == 0, added.stderr
    (entry,) = tomllib.loads(config.read_text())["models"]
    assert (entry["pooling"], entry["max_tokens"], entry["matryoshka"]) == ("mean", 2048, [512, 256, 128])
    assert (entry["document_prompt"], entry["query_prompt"]) == ("title: none | text: ", "mine: ")


def test_add_refuses_what_it_cannot_use_and_leaves_the_configuration_alone(model, config, tiny, tmp_path):
    before = config.read_text()
    (tmp_path / "page.gguf").write_text("<html>")
    assert "is not a readable GGUF" in refused(model("add", "acme/page", tmp_path / "page.gguf", config=config))
    assert "is not a file" in refused(model("add", "acme/none", tmp_path / "none.gguf", config=config))
    assert "limit 1024" in refused(model("add", "acme/tiny", tiny, "--max-tokens", 4096, config=config))
    assert "max_tokens = -3" in refused(model("add", "acme/tiny", tiny, "--max-tokens", -3, config=config))
    assert "--config FILE" in refused(model("add", "acme/tiny", tiny))
    assert config.read_text() == before


def test_bench_prints_tokens_a_second_and_what_a_million_take(model, config, tiny):
    (row,) = [
        row for row in lines(model("bench", "--seconds", "0.5", "--json", config=config)) if "llama" in row["engine"]
    ]
    assert row["model"] == MINILM
    assert row["million_tokens_s"] == pytest.approx(1e6 / row["tokens_per_s"], rel=0.01)
    assert "time for 1M tokens" in model("bench", "--seconds", "0.2", config=config).stdout


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_bench_measures_for_a_while_at_least(seconds, capsys):
    with pytest.raises(SystemExit) as refused:
        parser(["model"]).parse_args(["model", "bench", "--seconds", seconds])
    assert refused.value.code == 2
    assert "greater than 0" in capsys.readouterr().err


def test_bench_says_why_an_engine_cannot_be_measured(model, config):
    config.write_text(config.read_text() + '[[embedding.servers]]\nurl = "http://127.0.0.1:9/v1"\n')
    rows = lines(model("bench", "--seconds", "0.2", "--json", config=config))
    assert "cannot be reached" in rows[-1]["error"]


def test_trust_forgets_what_servers_had_to_compute(model, config, minilm_folder):
    (minilm_folder / "remote.json").write_text(json.dumps({MINILM: {}, "other": {}}))
    assert lines(model("trust", MINILM, "--json", config=config)) == [{"forgotten": MINILM}]
    assert json.loads((minilm_folder / "remote.json").read_text()) == {"other": {}}
    (minilm_folder / "remote.json").unlink()


def test_help_names_every_action(model):
    text = model("--help").stdout
    assert all(action in text for action in ("list", "pull", "add", "bench", "trust"))


@pytest.mark.parametrize(
    ("seconds", "said"), [(12.4, "12 s"), (90, "2 min"), (3599, "1 h 0 min"), (9000, "2 h 30 min")]
)
def test_durations_are_said_in_words(seconds, said):
    assert duration(seconds) == said

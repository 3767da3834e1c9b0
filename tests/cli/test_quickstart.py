"""The first thing anybody runs."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from syncd.cli.quickstart import configuration
from syncd.cli.sample import Sample
from tests.pipeline.parts import write


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "syncd", *arguments], capture_output=True, text=True, cwd=cwd, timeout=300
    )


def test_the_quick_start_syncs_searches_explains_and_leaves_nothing_running(tmp_path):
    folder = tmp_path / "checkout"
    write(
        folder,
        {
            "acknowledge.py": "def acknowledge(message):\n    '''Only after the work is done.'''\n    message.delete()\n",
            "chunks.md": "# Numbers\n\nA chunk keeps its number when text is inserted before it.\n",
            "away.md": "# Away\n\nWhen Chroma is not reachable, work waits.\n",
            ".gitignore": "state\n",
        },
    )
    done = run("quickstart", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "complete: 4 indexed" in done.stdout
    assert "Starting the daemon" in done.stdout
    assert len(re.findall(r"^syncd search '", done.stdout, re.MULTILINE)) == 3
    assert "--mode sparse" not in done.stdout[done.stdout.index("by meaning and by words") :]
    assert re.search(r"0\.\d+ +acknowledge\.py:1-3", done.stdout)
    assert "Next steps" in done.stdout
    assert sorted(path.name for path in folder.iterdir() if path.name != "state") == sorted(
        [".gitignore", "acknowledge.py", "away.md", "chunks.md"]
    )
    holders = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout.split()
    assert holders == []
    again = run("quickstart", cwd=folder)
    assert again.returncode == 0
    assert "4 unchanged" in again.stdout


def test_a_sample_is_what_the_quick_starts_source_includes(tmp_path):
    taken = Sample(("/*.md", '/a "b" \\#/*.py'), files=2, size_bytes=10)
    written = tomllib.loads(configuration(tmp_path / "state", tmp_path, taken))
    assert written["sources"][0]["include_globs"] == list(taken.globs)
    assert "include_globs" not in tomllib.loads(configuration(tmp_path / "state", tmp_path))["sources"][0]


def test_models_and_configuration_can_be_looked_at_without_a_daemon(tmp_path):
    listed = run("model", "list", "--json", cwd=tmp_path)
    assert "Qwen/Qwen3-Embedding-0.6B" in listed.stdout
    assert "sentence-transformers/all-MiniLM-L6-v2" in listed.stdout
    (tmp_path / "good.toml").write_text("[api]\nport = 1\n")
    (tmp_path / "bad.toml").write_text("[api]\nport = 'x'\n")
    assert run("config", "check", "good.toml", cwd=tmp_path).returncode == 0
    refused = run("config", "check", "bad.toml", cwd=tmp_path)
    assert refused.returncode == 78
    assert "api.port" in refused.stderr


def test_a_model_that_cannot_be_had_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "syncd.toml").write_text('state_dir = "state"\n[[models]]\nname = "Qwen/Qwen3-Embedding-0.6B"\n'
                                         'url = "http://127.0.0.1:9/model.gguf"\n')  # fmt: skip
    refused = run("model", "pull", "Qwen/Qwen3-Embedding-0.6B", "--config", "syncd.toml", cwd=tmp_path)
    assert refused.returncode == 1
    assert "all-MiniLM-L6-v2" in refused.stderr
    assert refused.stderr.count("\n") == 1

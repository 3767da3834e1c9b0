import subprocess
import sys
from pathlib import Path

import pytest

WRONG = {
    "missing": ('type = "folder"\npath = "/nowhere/at/all"', "folder /nowhere/at/all does not exist"),
    "glob": ('type = "folder"\npath = "/tmp"\ninclude_globs = ["[z-a]"]', "is not a gitignore pattern"),
    "regex": (
        'type = "web_scrape"\nstarting_url = "https://example.org/"\ninclude_path_regexes = ["(open"]',
        "'(open' is not a valid RE2 pattern",
    ),
    "bucket": ('type = "s3"\nbucket_name = "Not_A_Bucket"\nregion = "eu-central-1"', "bucket_name 'Not_A_Bucket'"),
    "unknown-app": (
        'type = "github"\nrepository = "a/b"\nbranch = "main"\napp_id = "99"',
        "GitHub App 99 is not configured",
    ),
    "no-key": (
        'type = "github"\nrepository = "a/c"\nbranch = "main"\napp_id = "7"',
        "private_key_file '/nowhere/key.pem' cannot be read",
    ),
    "no-token": (
        'type = "git"\nurl = "https://example.org/a.git"\ntoken_file = "/nowhere/token"',
        "token_file '/nowhere/token' cannot be read",
    ),
    "no-google-key": (
        'type = "gcs"\nbucket_name = "acme-docs"\ncredential_file = "/nowhere/gcs.json"',
        "credential_file '/nowhere/gcs.json' cannot be read",
    ),
    "no-azure-key": (
        'type = "azure_blob"\naccount_name = "acme"\ncontainer_name = "docs"\ncredential_env = "NO_SUCH_KEY"',
        "credential_env 'NO_SUCH_KEY' is not set",
    ),
}


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Check a configuration as people do."""
    file = folder / "syncd.toml"
    file.write_text(text)
    command = [sys.executable, "-m", "syncd", "config", "check", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_check_that_opening_a_source_makes_is_made_by_config_check_and_all_are_told_at_once(tmp_path: Path):
    state = tmp_path / "state"
    text = f'state_dir = "{state}"\n[[github.apps]]\napp_id = "7"\nprivate_key_file = "/nowhere/key.pem"\n'
    for name, (settings, _) in WRONG.items():
        text += f'[[sources]]\nname = "{name}"\ncollection = "docs-{name}"\n{settings}\n'
    state.mkdir()
    found = checked(tmp_path, text)
    assert found.returncode == 78
    told = found.stderr.removeprefix("syncd: ").splitlines()
    assert [line.split(":")[0] for line in told] == [f"source {name}" for name in WRONG]
    for line, (_, reason) in zip(told, WRONG.values(), strict=True):
        assert reason in line
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("network", ["nonsense", "10.0.0.0/99"])
def test_a_network_that_is_none_is_told_where_no_website_is_declared(tmp_path: Path, network: str):
    found = checked(tmp_path, f'[web]\nallow_private_addresses = ["{network}"]\n')
    assert (found.returncode, f"{network!r} is neither a network" in found.stderr) == (78, True)


def test_sources_that_could_be_opened_are_valid_and_nothing_is_left_of_the_check(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    source = f'state_dir = "{tmp_path}/state"\n[[sources]]\nname = "docs"\ntype = "folder"\npath = "{tmp_path}/docs"\ncollection = "docs"\n'
    found = checked(tmp_path, source)
    assert (found.returncode, found.stdout.startswith("valid: 1 source,")) == (0, True), found.stderr
    assert not (tmp_path / "state").exists()

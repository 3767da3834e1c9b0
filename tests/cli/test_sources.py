"""What `sources add` makes of its arguments, for the types that need a machine of somebody else's."""

import pytest

from syncd.cli import parser
from syncd.errors import ConfigError
from syncd.sources.registry import TYPES

BUCKET = ("s3", "acme-contracts", "--region", "eu-central-1")


@pytest.fixture(autouse=True)
def own_key(tmp_path, monkeypatch):
    """A user with one profile."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text("[acme]\naws_access_key_id = AKIAACME\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def settings_of(*arguments: str) -> dict:
    """Return the settings, which the API takes."""
    args = parser(["sources"]).parse_args(["sources", "add", *arguments])
    given = {name: value for name, value in args.settings(args).items() if value is not None}
    TYPES[args.type].shape.model_validate(given)
    return given


def test_a_website_is_added_by_its_address_and_crawled_again_where_it_is_watched():
    once = settings_of("web", "https://docs.example.com/", "--exclude", "/print/", "--pages", "100")
    assert once == {
        "starting_url": "https://docs.example.com/",
        "exclude_path_regexes": ["/print/"],
        "page_limit": 100,
    }
    kept = settings_of("web_scrape", "https://docs.example.com/", "--watch", "docs")
    assert kept["schedule"] == {"target_collection_name": "docs", "interval_s": 86_400}


def test_a_repository_is_added_by_its_name_or_its_address():
    for given in ("owner/kites", "https://github.com/owner/kites", "https://github.com/owner/kites.git"):
        assert settings_of("github", given)["repository"] == "owner/kites"


def test_a_bucket_is_added_with_the_key_of_a_profile_or_of_the_environment(monkeypatch):
    given = settings_of(*BUCKET, "--watch", "contracts", "--profile", "acme", "--prefix", "signed/")
    assert given == {
        "bucket_name": "acme-contracts",
        "region": "eu-central-1",
        "collection_name": "contracts",
        "path_prefix": "signed/",
        "schedule": {"interval_s": 86_400},
        "aws_access_key_id": "AKIAACME",
        "aws_secret_access_key": "secret",
    }
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/syncd"
    given = settings_of(*BUCKET, "--watch", "contracts", "--queue-url", queue)
    assert (given["aws_access_key_id"], given["auto_sync"], given["queue_url"]) == ("AKIAENVIRONMENT", "direct", queue)


def test_a_bucket_without_a_collection_or_a_lasting_key_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="--watch COLLECTION"):
        settings_of(*BUCKET)
    with pytest.raises(ConfigError, match="no key for AWS was found; name a profile"):
        settings_of(*BUCKET, "--watch", "contracts")
    with pytest.raises(ConfigError, match=r"no key for AWS: .*acne.*; name a profile"):
        settings_of(*BUCKET, "--watch", "contracts", "--profile", "acne")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    with pytest.raises(ConfigError, match="temporary"):
        settings_of(*BUCKET, "--watch", "contracts")

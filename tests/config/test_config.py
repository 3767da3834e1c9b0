"""The configuration: every default documented, every mistake named."""

import json
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr

from syncd.app.models import catalog_of, engine_options, make_reranker, servers_by_model, splade_folder
from syncd.app.webhooks import webhook_filters, webhooks_of
from syncd.config import Config, config_model, load_config
from syncd.errors import ConfigError
from syncd.model.notifications import NotifiedEvent
from syncd.redaction import redacted
from syncd.sources.github.settings import GithubSection
from syncd.sources.registry import TYPES
from syncd.sources.table import SourceTable

EXAMPLE = Path(__file__).parents[2] / "config" / "syncd.toml"


ARRAYS = {"models", "sources", "webhooks", "incoming_webhooks"}
WEBHOOK = "[[webhooks]]\nname = 'a'\nurl = 'http://a'\nsecret = 's3cret-of-16-characters'\n"
REPOSITORY = "[[sources]]\nname = 'a'\ntype = 'github'\nrepository = 'a/b'\ncollection = 'abc'\n"
BUCKET = """
[[sources]]
name = "bucket"
type = "s3"
bucket_name = "acme"
region = "eu-central-1"
collection = "acme-V2"
auto_sync = "direct"
"""


def load(tmp_path: Path, text: str = "", **environment: str) -> Config:
    file = tmp_path / "syncd.toml"
    file.write_text(text)
    return load_config(file, environment)


def test_the_example_shows_every_default():
    assert load_config(EXAMPLE, {}) == config_model(TYPES)()
    shown = tomllib.loads(EXAMPLE.read_text())
    for name, value in config_model(TYPES)().model_dump(exclude=ARRAYS).items():
        assert name in shown, name
        if isinstance(value, dict):
            commented = re.findall(r"^# (?:\[\[?\w+\.)?(\w+)", EXAMPLE.read_text(), re.MULTILINE)
            assert set(value) <= {*shown[name], *commented}, name


def test_the_commented_webhooks_are_valid_and_their_secrets_are_read_from_where_they_are(tmp_path, monkeypatch):
    example = EXAMPLE.read_text().partition("# [[webhooks]]")[2].partition("\n\n")[0]
    config = load(tmp_path, "[[webhooks]]" + example.replace("\n# ", "\n"))
    with pytest.raises(ConfigError, match="the variable ON_CALL_SECRET of on-call is not set"):
        webhooks_of(config)
    monkeypatch.setenv("ON_CALL_SECRET", "whsec_no base64 at all")
    with pytest.raises(ConfigError, match="not Base64"):
        webhooks_of(config)
    monkeypatch.setenv("ON_CALL_SECRET", "s3cret-of-16-characters")
    (webhook,) = webhooks_of(config)
    assert (webhook.name, webhook.key) == ("on-call", b"s3cret-of-16-characters")
    (wants,) = webhook_filters(config)
    assert set(wants.events) == set(get_args(NotifiedEvent))
    (tmp_path / "short").write_text("too short\n")
    table = f"[[webhooks]]\nname = 'a'\nurl = 'http://10.0.0.1/x?y=1'\nsecret_file = '{tmp_path / 'short'}'"
    with pytest.raises(ConfigError, match="the secret of a is shorter than 16 characters"):
        webhooks_of(load(tmp_path, table))


def test_the_commented_examples_are_valid_too(tmp_path):
    lines = EXAMPLE.read_text().splitlines()
    start = lines.index("# [[sources]]")
    examples = [line[2:] for line in lines[start:] if line.startswith("# ")]
    text = re.sub(r"^chunking = .*lines.*$", "", "\n".join(examples), flags=re.MULTILINE)
    config = load(tmp_path, text)
    assert [source.name for source in config.sources] == [
        "handbook",
        "tools",
        "notes",
        "docs-site",
        "contracts",
        "manuals",
        "drawings",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[api]\nprt = 1", "api.prt: unknown key; did you mean 'port'?"),
        ("[api]\nxyzzy = 1", "api.xyzzy: unknown key; `syncd config template` prints all keys"),
        ("[documents.vision]\nurll = 'http://a/v1'", "documents.vision.urll: unknown key; did you mean 'url'?"),
        (
            "[[embedding.servers]]\nurl = 'http://a'\nkin = 'tei'",
            "embedding.servers.0.kin: unknown key; did you mean 'kind'?",
        ),
        (REPOSITORY + "brnch = 'main'", "sources.0.github.brnch: unknown key; did you mean 'branch'?"),
        (REPOSITORY.replace("github", "githb"), "sources.0: unknown type 'githb'; did you mean 'github'?"),
        (REPOSITORY.replace("type = 'github'", ""), "sources.0.type: this key is required; give it"),
        ("[[webhooks]]\nname = 'a'\nurl = 'http://a'", "'a' needs secret_env, secret_file or secret"),
        (f"{WEBHOOK}{WEBHOOK}", "webhooks: the name 'a' is used twice"),
        (f"{WEBHOOK}events = ['run.ended']", "webhooks.0.events.0 = 'run.ended': input should be 'run.settled'"),
        (f"{WEBHOOK}secret_env = 'B'", "give one of secret, secret_env and secret_file"),
        ("[[webhooks]]\nname = 'a'\nurl = 'ftp://a'\nsecret_env = 'S'", "webhooks.0.url = 'ftp://a'"),
        ("[api]\nport = 70000", "api.port = 70000"),
        ("[api]\nport = 'x'", "api.port = 'x'"),
        ("[chroma]\nmode = 'server'", "needs chroma.port"),
        ("[chroma]\nmode = 'cloud'", "needs chroma.api_key"),
        ("[chroma]\nmode = 'moon'", "chroma.mode = 'moon'"),
        ("[chroma]\nhost = '10.0.0.3'\nport = 8000", "chroma.host (or SYNCD_CHROMA__HOST) needs chroma.mode 'server'"),
        ("[chroma]\nssl = true", "needs chroma.mode 'server', not 'local'"),
        ("[chroma]\nheaders = { Authorization = 'Bearer x' }", "needs chroma.mode 'server', not 'local'"),
        ("[chroma]\napi_key = 'x'", "needs chroma.mode 'cloud', not 'local'"),
        ("[chroma]\nmode = 'server'\nport = 8000\napi_key = 'x'", "needs chroma.mode 'cloud', not 'server'"),
        ("[chroma]\nmode = 'cloud'\napi_key = ''", "needs chroma.api_key"),
        ("[chroma]\nmode = 'cloud'\napi_key = 'x'\nhost = 'a'", "needs chroma.mode 'server', not 'cloud'"),
        ("[chroma]\nmode = 'cloud'\napi_key = 'x'\nport = 1", "needs chroma.mode 'local' or 'server', not 'cloud'"),
        ("[qdrant]\nurl = 'localhost:6333'", "such as http://127.0.0.1:6333"),
        ("[qdrant]\nurl = 'http://127.0.0.1:70000'", "such as http://127.0.0.1:6333"),
        ("[qdrant]\nurl = 'http://[::1'", "such as http://127.0.0.1:6333"),
        ("[tracing]\nendpoint = 'http://a:70000'", "no base URL such as http://127.0.0.1:4318"),
        ("[[embedding.servers]]\nurl = 'http://a:70000'", "embedding.servers.0.url: names no host, or no port from 1"),
        ("[rerank]\nurl = 'http://a:x'", "rerank.url: names no host, or no port from 1"),
        (WEBHOOK.replace("http://a", "http://a:0/secret"), "webhooks.0.url: names no host, or no port from 1"),
        ("[tracing]\nendpoint = 'localhost:4318'", "no base URL such as http://127.0.0.1:4318"),
        ("[tracing]\nendpoint = 'http://a/v1/traces'", "/v1/traces is appended"),
        ("[tracing]\nsampled_share = 0", "tracing.sampled_share"),
        ("[tracing]\nsampled_share = 0.5", "tracing needs tracing.endpoint"),
        ("[rerank]\nalways = true", "rerank needs rerank.url, such as http://127.0.0.1:8080, or rerank.path"),
        ("[rerank]\nkind = 'tei'\napi_key_env = 'K'", "rerank needs rerank.url"),
        ("[workers]\nray = 'http://head:8265'", "auto, ray://HOST:10001, or HOST:6379"),
        ("[workers]\nembedders = 4", "workers needs workers.ray"),
        ("[workers]\npreparers = 0", "workers needs workers.ray"),
        ("[workers]\nray = 'auto'\nmodels_dir = 'models'", "a path on the nodes, which begins with /"),
        ("[qdrant]\napi_key = 'x'", "qdrant needs qdrant.url"),
        ("[qdrant]\ncheck_interval_s = 1", "qdrant needs qdrant.url"),
        ("[qdrant]\nurl = 'http://a'\n[chroma]\nport = 8000", "name two vector stores"),
        ("[[sources]]\nname = 'a'\ntype = 'zip'", "'zip'"),
        (
            "[[sources]]\nname = 'a'\ntype = 'folder'\npath = '.'\ncollection = 'UPPER'",
            "collection: 'UPPER' is not a collection name",
        ),
        ("[[sources]]\nname = 'a'\ntype = 'folder'\npath = '.'\ncollection = 'a..b'", "no two dots in a row"),
        (BUCKET, "auto_sync of 'bucket' needs queue_url, there or in [s3]"),
        (f"{BUCKET}path_prefix = '/docs/'", "no slash in front; object stores compare whole keys"),
        ("[[sources]]\nname = 'a'\ntype = 'github'\nrepository = '--x'\ncollection = 'abc'", "repository '--x' must"),
        ("[[sources]]\nname = 'a'\ntype = 'github'\nrepository = 'a/..'\ncollection = 'abc'", "repository 'a/..' must"),
        (f"{REPOSITORY}interval_s = 0.5", "0.5 s is too often: at least 1 s, or 0 for never"),
        ("stop_deadline_s = 0", "stop_deadline_s = 0"),
        ("[[embedding.servers]]\nurl = 'gpu-1:8080'", "embedding.servers.0.url = 'gpu-1:8080'"),
        ("[[embedding.servers]]\nurl = 'http://a'\napi_key = 'k'\napi_key_env = 'K'", "give one of api_key"),
        ("[[embedding.servers]]\nurl = 'http://a'\napi_key_env = 'SYNCD_KEY'", "api_key_env = 'SYNCD_KEY'"),
        ("[documents]\nocr_languages = []", "documents.ocr_languages"),
        ("[documents]\nmax_pages = 8000", "documents.max_pages = 8000"),
        ("[documents.vision]\nmodel = 'x'", "give url (an endpoint) or path"),
        ("[documents.vision]\npath = 'x.gguf'", "path needs projector"),
        ("[documents.vision]\nurl = 'http://a/v1'", "url needs model"),
        ("not toml", "not valid TOML"),
        ("a = " + "[" * 3000, "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_key_value_and_file(tmp_path, text, said):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert said in str(error.value)
    assert "syncd.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_key_of_an_embedding_server_comes_from_the_environment_or_a_credential(tmp_path, monkeypatch):
    text = "[[embedding.servers]]\nurl = 'http://a/v1'\n"
    (tmp_path / "gpu").write_text("from-a-file\n")
    monkeypatch.setenv("GPU_KEY", "from-the-environment")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    lines = ("", "api_key = 'given'", "api_key_env = 'GPU_KEY'", "api_key_file = 'gpu'")
    found = [load(tmp_path, text + line).embedding.servers[0].key("embedding.servers", "it") for line in lines]
    assert found == [None, "given", "from-the-environment", "from-a-file"]
    for line in ("api_key_env = 'NO_SUCH_KEY'", "api_key_file = 'nowhere'"):
        with pytest.raises(ConfigError, match=r"NO_SUCH_KEY|nowhere"):
            load(tmp_path, text + line).embedding.servers[0].key("embedding.servers", "it")


def test_a_reranker_is_one_of_two_kinds_or_none(tmp_path, monkeypatch):
    assert make_reranker(load(tmp_path)) is None
    server = "[rerank]\nurl = 'http://a/v2'\napi_key_env = 'RERANK_KEY'\n"
    with pytest.raises(ConfigError, match=r"rerank: the variable RERANK_KEY of http://a/v2 is not set"):
        make_reranker(load(tmp_path, server))
    monkeypatch.setenv("RERANK_KEY", "s3cret-rerank-key")
    assert make_reranker(load(tmp_path, server)).label == "http://a/v2"
    assert "s3cret" not in redacted("the key is s3cret-rerank-key")
    assert make_reranker(load(tmp_path, "[rerank]\npath = '/models/ranker.gguf'\n")).label == "ranker.gguf"
    with pytest.raises(ConfigError, match="give either url or path"):
        load(tmp_path, server + "path = '/models/ranker.gguf'\n")


def test_servers_are_found_by_the_model_they_compute(tmp_path):
    text = """
        [[embedding.servers]]
        url = "http://a/v1"
        [[embedding.servers]]
        url = "http://b"
        kind = "tei"
        model = "sentence-transformers/all-MiniLM-L6-v2"
        served_as = "minilm"
        api_key = "s3cret-key"
        max_in_flight = 5
    """
    config = load(tmp_path, text)
    found = servers_by_model(config, catalog_of(config))
    assert {name: [server.url for server in servers] for name, servers in found.items()} == {
        "Qwen/Qwen3-Embedding-0.6B": ["http://a/v1"],
        "sentence-transformers/all-MiniLM-L6-v2": ["http://b"],
    }
    server = found["sentence-transformers/all-MiniLM-L6-v2"][0]
    assert (server.protocol, server.model, server.in_flight) == ("tei", "minilm", 5)
    assert server.headers == {"Authorization": "Bearer s3cret-key"}
    for more, said in (("model = 'nobody/knows'", "unknown model"), ("", "appears twice")):
        wrong = load(tmp_path, text + f"\n[[embedding.servers]]\nurl = 'http://a/v1'\n{more}")
        with pytest.raises(ConfigError, match=said):
            servers_by_model(wrong, catalog_of(wrong))


def test_an_interval_of_0_means_that_the_source_is_synced_when_asked(tmp_path):
    watched, asked = (load(tmp_path, REPOSITORY + line).sources[0].settings() for line in ("", "interval_s = 0"))
    assert watched.watch.interval_s == 300
    assert asked.watch is None


def test_events_may_arrive_in_the_common_queue(tmp_path):
    assert load(tmp_path, f"[s3]\nqueue_url = 'https://sqs.example/q'\n{BUCKET}").sources[0].collection == "acme-V2"


def test_a_tilde_is_the_home_folder_wherever_a_path_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/keeper")
    text = """
        [embedding]
        models_dir = "~/models"
        [[models]]
        name = "Qwen/Qwen3-Embedding-0.6B"
        path = "~/qwen.gguf"
        [search]
        splade_dir = "~/splade"
        [[github.apps]]
        app_id = "1"
        private_key_file = "~/app.pem"
    """
    config, home = load(tmp_path, text), Path("/home/keeper")
    assert config.embedding.models_dir == home / "models"
    assert engine_options(config, "Qwen/Qwen3-Embedding-0.6B").path == home / "qwen.gguf"
    assert splade_folder(config, tmp_path) == home / "splade"
    assert config.sections[GithubSection].apps[0].private_key_file == home / "app.pem"


def test_two_sources_of_one_name_are_refused(tmp_path):
    one = "[[sources]]\nname = 'a'\ntype = 'folder'\npath = '.'\ncollection = 'abc'\n"
    with pytest.raises(ConfigError, match="'a' is used twice"):
        load(tmp_path, one * 2)


def test_two_sources_that_differ_in_their_names_alone_are_refused(tmp_path):
    one = "[[sources]]\nname = 'a'\ntype = 'folder'\npath = '.'\ncollection = 'abc'\n"
    with pytest.raises(ConfigError, match="'a' and 'b' bring the same documents into the same collection; remove one"):
        load(tmp_path, one + one.replace("'a'", "'b'").replace("collection", "watch = true\ncollection"))
    load(tmp_path, one + one.replace("'a'", "'b'").replace("'abc'", "'other'"))


def test_two_sources_of_the_same_keys_of_one_bucket_are_refused(tmp_path):
    one = BUCKET.replace('"direct"', '"none"')
    for prefix in ("", "a/", "a"):
        other = one.replace('name = "bucket"', f'name = "other"\npath_prefix = "{prefix}"')
        with pytest.raises(ConfigError, match="'bucket' and 'other' bring the same documents"):
            load(tmp_path, one + 'path_prefix = "a/b"' + other)
    load(tmp_path, one + 'path_prefix = "b/"' + other)
    load(tmp_path, one + other.replace('"acme"', '"acme-2"'))


def test_sources_are_compared_within_one_place_only_since_there_may_be_thousands(tmp_path, monkeypatch):
    compared = []
    repeats = SourceTable.repeats
    monkeypatch.setattr(SourceTable, "repeats", lambda one, other: compared.append(one.name) or repeats(one, other))
    one = "[[sources]]\nname = 'a{0}'\ntype = 'folder'\npath = '{0}'\ncollection = 'abc'\n"
    again = one.format(7).replace("'a7'", "'again'").replace("'abc'", "'other'")
    load(tmp_path, "".join(one.format(number) for number in range(200)) + again)
    assert compared == []
    with pytest.raises(ConfigError, match="'a7' and 'again' bring the same documents"):
        load(tmp_path, "".join(one.format(number) for number in range(200)) + again.replace("'other'", "'abc'"))
    assert compared == ["again"]


def test_the_environment_overrides_the_file(tmp_path):
    config = load(tmp_path, "[api]\nport = 1", SYNCD_API__PORT="9000", SYNCD_LOG__LEVEL="debug", SYNCD_TOKEN="x")
    assert (config.api.port, config.log.level) == (9000, "debug")


@pytest.mark.parametrize("key", ["12345678", "1234#5678", "true", "2024-05-06", "[1]"])
def test_a_secret_in_the_environment_that_looks_like_something_else_is_taken_as_it_is(tmp_path, key):
    found = load(
        tmp_path,
        SYNCD_CHROMA__API_KEY=key,
        SYNCD_CHROMA__MODE="cloud",
        SYNCD_CHROMA__TENANT="t",
        SYNCD_API__PORT="0x1f90",
    )
    assert found.chroma.api_key is not None
    assert (found.chroma.api_key.get_secret_value(), found.api.port) == (key, 8080)


def test_a_key_in_the_environment_is_refused_as_one_in_the_file_is_and_an_empty_one_is_none(tmp_path):
    with pytest.raises(ConfigError, match=r"\(or SYNCD_CHROMA__API_KEY\) needs chroma\.mode 'cloud'") as error:
        load(tmp_path, SYNCD_CHROMA__API_KEY="hunter2")
    assert "hunter2" not in str(error.value)
    empty = {f"SYNCD_{section}__API_KEY": "" for section in ("CHROMA", "QDRANT", "RERANK")}
    assert load(tmp_path, **empty) == load(tmp_path)
    assert load(tmp_path, "[qdrant]\nurl = 'http://a'\n", **empty).qdrant.api_key is None
    assert load(tmp_path, "[rerank]\nurl = 'http://a'\napi_key_env = 'K'\n", **empty).rerank.api_key_env == "K"


def test_white_space_around_a_secret_is_none_of_it(tmp_path, monkeypatch):
    padded = " s3cret-of-16-characters\r\n"
    monkeypatch.setenv("GPU_KEY", padded)
    config = load(tmp_path, "[qdrant]\nurl = 'http://a'\n", SYNCD_QDRANT__API_KEY=padded)
    assert config.qdrant.api_key == SecretStr(padded.strip())
    chroma = load(
        tmp_path, f"[chroma]\nmode = 'server'\nport = 1\nheaders = {{ x-token = {json.dumps(padded)} }}"
    ).chroma
    assert chroma.headers == {"x-token": SecretStr(padded.strip())}
    for way in (f"api_key = {json.dumps(padded)}", "api_key_env = 'GPU_KEY'"):
        (server,) = load(tmp_path, f"[[embedding.servers]]\nurl = 'http://a'\n{way}").embedding.servers
        assert server.key("embedding.servers", "a") == padded.strip()
    for way in (f"secret = {json.dumps(padded)}", "secret_env = 'GPU_KEY'"):
        (webhook,) = webhooks_of(load(tmp_path, f"[[webhooks]]\nname = 'a'\nurl = 'http://a'\n{way}"))
        assert webhook.key == padded.strip().encode()


@pytest.mark.parametrize("key", ["schlüssel-1234", "two\nlines-1234", "by\udce9tes-1234", "bell\x07-1234"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_told(tmp_path, monkeypatch, key):
    monkeypatch.setenv("GPU_KEY", key)
    for text in (
        "[qdrant]\nurl = 'http://a'\napi_key = {}",
        "[chroma]\nmode = 'cloud'\napi_key = {}",
        "[chroma]\nmode = 'server'\nport = 1\nheaders = {{ x-token = {} }}",
        "[rerank]\nurl = 'http://a'\napi_key = {}",
    ):
        with pytest.raises(ConfigError, match="printable ASCII") as error:
            load(tmp_path, text.format(json.dumps(key.replace("\udce9", "é"))))
        assert "1234" not in str(error.value)
    for text in ("[rerank]\nurl = 'http://a'", "[documents.vision]\nurl = 'http://a'\nmodel = 'm'"):
        config = load(tmp_path, f"{text}\napi_key_env = 'GPU_KEY'")
        given = config.rerank if config.documents.vision is None else config.documents.vision
        with pytest.raises(ConfigError, match=r"the key of a cannot be sent: .* printable ASCII") as error:
            given.key("table", "a")
        assert "1234" not in str(error.value)


def test_the_name_of_a_header_is_one(tmp_path):
    with pytest.raises(ConfigError, match=r"chroma\.headers"):
        load(tmp_path, "[chroma]\nmode = 'server'\nport = 1\nheaders = { 'x token' = 'k' }")


def test_an_unknown_variable_is_refused_by_its_key(tmp_path):
    with pytest.raises(ConfigError, match=r"api\.prot: unknown key"):
        load(tmp_path, SYNCD_API__PROT="1")


def test_secrets_beside_a_mistake_are_not_shown(tmp_path):
    with pytest.raises(ConfigError, match=r"servers\.0\.url: this key is required") as error:
        load(tmp_path, "[[embedding.servers]]\napi_key = 'hunter2'")
    assert "hunter2" not in str(error.value)


def test_secrets_are_not_shown(tmp_path):
    config = load(tmp_path, "[chroma]\nmode = 'cloud'\napi_key = 'hunter2'")
    assert "hunter2" not in repr(config)
    assert "hunter2" not in config.model_dump_json()


def test_systemds_state_folder_wins_over_the_default_only(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/syncd")
    assert Config().state_folder == Path("/var/lib/syncd")
    assert load(tmp_path, "state_dir = '/elsewhere'").state_folder == Path("/elsewhere")


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_loopback_is_recognised(tmp_path, host, loopback):
    assert load(tmp_path, f"[api]\nhost = '{host}'").api.loopback is loopback


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "nowhere.toml", {})


@pytest.mark.parametrize("path", ["{state}", "{state}/uploads", "{link}"])
def test_a_source_in_the_state_folder_is_refused(tmp_path, path):
    state, link = tmp_path / "state", tmp_path / "link"
    state.mkdir()
    link.symlink_to(state)
    path = path.format(state=state, link=link)
    text = f"state_dir = '{state}'\n[[sources]]\nname = 'a'\ntype = 'folder'\ncollection = 'abc'\npath = '{path}'"
    with pytest.raises(ConfigError, match=r"path of 'a' lies in the state folder .* name a folder outside it"):
        load(tmp_path, text)


def test_a_declared_link_is_kept_with_where_it_leads(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    table = "[[sources]]\nname = 'a'\ntype = 'folder'\ncollection = 'abc'\npath = '{}'"
    linked, plain = (load(tmp_path, table.format(tmp_path / name)).sources[0].settings() for name in ("link", "real"))
    assert (linked.path, linked.real_path) == (str(tmp_path / "link"), str(tmp_path / "real"))
    assert (plain.path, plain.real_path) == (str(tmp_path / "real"), None)


def test_a_repositorys_owner_may_be_called_as_the_api_allows(tmp_path):
    (source,) = load(tmp_path, REPOSITORY.replace("a/b", "company_user/b.git")).sources
    assert source.repository == "company_user/b.git"

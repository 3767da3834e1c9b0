"""Which vector store the configuration chooses, whether documents are traced, and what that loads."""

import subprocess
import sys

import pytest

from syncd.app.settings import own_chroma, tracer_of, vector_store_of, verify_interval_s, watch_settings
from syncd.chroma.client import Chroma
from syncd.errors import ConfigError
from syncd.pipeline.tracing import UNTRACED
from syncd.qdrant.client import Qdrant
from tests.config.test_config import load

QDRANT = (
    "[qdrant]\nurl = 'http://10.0.0.1'\napi_key = 's3cret'\nreplicas = 2\nprobe_interval_s = 5\nverify_interval_s = 0\n"
)


async def test_the_address_of_a_qdrant_chooses_it_and_how_its_collections_are_looked_after(tmp_path):
    config = load(tmp_path, QDRANT)
    assert own_chroma(config, tmp_path) is None
    async with vector_store_of(config, None) as qdrant:
        assert isinstance(qdrant, Qdrant)
        assert (qdrant.settings.url, qdrant.settings.api_key, qdrant.settings.replicas) == (
            "http://10.0.0.1",
            "s3cret",
            2,
        )
    assert (watch_settings(config).probe_s, watch_settings(config).compact_above) == (5, None)
    assert verify_interval_s(config) is None
    config = load(tmp_path, "[chroma]\nmode = 'server'\nport = 8000\nprobe_interval_s = 7\n")
    assert isinstance(vector_store_of(config, None), Chroma)
    assert (watch_settings(config).probe_s, watch_settings(config).compact_above) == (7, 5)


def test_an_address_that_the_client_cannot_read_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"qdrant\.url = 'http://%zz' is no address"):
        vector_store_of(load(tmp_path, "[qdrant]\nurl = 'http://%zz'\n"), None)


async def test_without_its_package_the_extra_is_named(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("syncd.qdrant")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(ConfigError, match=r"pip install 'syncd\[qdrant\]'"):
        vector_store_of(load(tmp_path, QDRANT), None)


async def test_traces_are_off_until_a_receiver_is_named_and_then_need_the_extra(tmp_path, monkeypatch):
    assert tracer_of(load(tmp_path)) is UNTRACED
    config = load(tmp_path, "[tracing]\nendpoint = 'http://127.0.0.1:4318'\n")
    await tracer_of(config).close()
    monkeypatch.delitem(sys.modules, "syncd.pipeline.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"tracing.endpoint needs .* pip install 'syncd\[otel\]'"):
        tracer_of(config)


def test_a_daemon_with_neither_loads_nothing_of_them():
    names = "'qdrant' in name or name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))"
    look = f"import sys, syncd.app; print([name for name in sys.modules if {names}])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[]\n", done.stderr

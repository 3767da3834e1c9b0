"""Batched is single, over 500 real chunks: code, headers, prose and the words of a hundred languages, short and long."""

import sysconfig
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from syncd.model import Chunking, Part
from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.files import find_file
from syncd.pipeline.embed.variant import RunSettings
from syncd.pipeline.embed.worker import EmbedWorker, compute
from tests.benchmarks.make_qwen3_shape import Shape, Vocabulary, write
from tests.pipeline.chunking import chunks_of_document

PACKAGES = Path(sysconfig.get_paths()["purelib"])
SHAPE = Shape(layers=2, width=64, inner=128, heads=2, kv_heads=1, head_width=32, context=2048)
COUNT = 500


def chunks_of(paths, kind, target, most_per_file):
    """Chunks of about `target` bytes, a few of each file."""
    for path in paths:
        part = Part(path.read_text("utf-8", "replace")[:20_000], kind)
        chunking = Chunking(target_size_bytes=target, max_size_bytes=max(160, 2 * target))
        found = [chunk.embedded_text for chunk in chunks_of_document([part], path.name, chunking)]
        yield from (text for text in found[1 :: max(1, len(found) // most_per_file)][:most_per_file] if text.strip())


def files(*patterns):
    return sorted(path for pattern in patterns for path in PACKAGES.glob(pattern))


@pytest.fixture(scope="module")
def chunks():
    languages = islice(chunks_of(files("justext/stoplists/*.txt"), "text", 96, 1), 100)
    code = islice(chunks_of(files("aiohttp/*.py", "chromadb/api/*.py", "numpy/*/*.py"), "text", 64, 10), COUNT)
    headers = islice(chunks_of(files("numpy/_core/include/**/*.h"), "text", 160, 20), 100)
    prose = islice(chunks_of(files("*.dist-info/METADATA"), "markdown", 900, 2), 30)
    found = [*languages, *headers, *prose]
    found += islice(code, COUNT - len(found))
    assert len(found) == COUNT
    return found


def furthest(path, pooling, max_tokens, texts):
    """The largest distance between a vector computed among others and computed alone."""
    together, alone = (EmbedWorker(RunSettings(path, pooling, max_tokens, sequences=count)) for count in (32, 1))
    windows = [together._windows(text)[0] for text in texts]
    rows = compute(together._kernel, windows), compute(alone._kernel, windows)
    return float((1 - np.sum(rows[0].astype(np.float64) * rows[1], axis=1)).max())


def test_the_chunks_are_mixed(chunks):
    lengths = sorted(len(text) for text in chunks)
    assert lengths[0] < 60
    assert lengths[-1] > 900
    scripts = {
        range(0x400, 0x500),
        range(0x600, 0x700),
        range(0x900, 0x980),
        range(0xAC00, 0xD7A4),
        range(0x370, 0x400),
    }
    assert all(any(ord(letter) in script for text in chunks for letter in text) for script in scripts)


async def test_half_precision_is_within_a_hundred_thousandth(chunks, minilm_folder):
    model = Catalog().find(MINILM)
    file = await find_file(model, model.file(), minilm_folder)
    assert furthest(file.path, "mean", 256, chunks) < 1e-5


@pytest.mark.parametrize(("kind", "tolerance"), [("F16", 1e-5), ("Q8_0", 1e-3)])
def test_a_causal_model_read_through_the_tap_is_as_close(chunks, tmp_path, kind, tolerance):
    path = tmp_path / "tiny.gguf"
    write(path, Vocabulary.of_bytes(), SHAPE, kind=kind)
    assert furthest(path, "last", 2048, chunks) < tolerance


@pytest.mark.soak
async def test_the_real_model_quantised_is_within_a_thousandth(chunks, minilm_folder):
    model = Catalog().find(MINILM)
    file = await find_file(model, model.file("Q8_0"), minilm_folder)
    assert furthest(file.path, "mean", 256, chunks) < 1e-3

"""SPLADE's way of making vectors, on a small model made here: weights, windows, words, and what is refused."""

import numpy as np
import onnx
import pytest
import tokenizers
from onnx import TensorProto, helper, numpy_helper

from syncd.errors import PermanentError
from syncd.pipeline.sparse.splade import WINDOW_TOKENS, load_splade

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "lamp", "light", "keeper", "##s", "fox"]
TABLE = np.random.default_rng(3).normal(size=(len(WORDS), len(WORDS))).astype(np.float32)
TABLE[:4, 4:] = -1  # special tokens and unknown words mean nothing
TABLE[4:, :4] = -1
TABLE[:4, :4] = -1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose logits are a row of TABLE for each token, and its tokenizer."""
    folder = tmp_path_factory.mktemp("splade")
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", len(WORDS)])
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["logits"])]
    graph = helper.make_graph(nodes, "small", inputs, [output], [numpy_helper.from_array(TABLE, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def expected(*words: str) -> dict[int, float]:
    rows = np.log1p(np.maximum(TABLE[[WORDS.index(word) for word in words]], 0)).max(axis=0)
    return {index: float(value) for index, value in enumerate(rows) if value > 0}


def as_dict(vector):
    return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))


async def test_a_word_weighs_what_its_strongest_place_gives_it(folder):
    encoder = await load_splade(folder)
    one, two, none = await encoder.encode(["Lamp keepers", "fox, unknown lamp", "nothing known"], "document")
    assert as_dict(one) == pytest.approx(expected("lamp", "keeper", "##s"))
    assert as_dict(two) == pytest.approx(expected("fox", "lamp"))
    assert as_dict(none) == {}
    assert (np.diff(one.indices.astype(int)) > 0).all()


async def test_long_texts_are_read_to_their_end(folder):
    encoder = await load_splade(folder)
    (long,) = await encoder.encode(["lamp " * (3 * WINDOW_TOKENS) + "fox"], "document")
    assert as_dict(long) == pytest.approx(expected("lamp", "fox"))


async def test_padding_and_neighbours_change_nothing(folder):
    encoder = await load_splade(folder)
    (alone,) = await encoder.encode(["keeper"], "query")
    _, beside = await encoder.encode(["lamp fox light keepers " * 50, "keeper"], "query")
    assert as_dict(alone) == as_dict(beside)


async def test_spans_are_whole_words_of_the_query(folder):
    encoder = await load_splade(folder)
    (query,) = await encoder.encode(["keeper"], "query")
    text = "Keepers, " + "lamp unknown " * WINDOW_TOKENS + "keepers"
    wanted = {WORDS[index] for index in query.indices.tolist()}
    found = [text[start:end].lower() for start, end in encoder.spans(text, query)]
    assert set(found) <= {"keepers", "lamp"}
    assert ("keepers" in found) == bool(wanted & {"keeper", "##s"})
    assert ("lamp" in found) == ("lamp" in wanted)


async def test_another_file_is_another_fingerprint(folder, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    model = onnx.load(folder / "model.onnx")
    model.producer_name = "other"
    onnx.save(model, tmp_path / "model.onnx")
    assert (await load_splade(tmp_path)).fingerprint != (await load_splade(folder)).fingerprint


async def test_missing_and_broken_files_are_named(folder, tmp_path):
    with pytest.raises(PermanentError, match=r"model\.onnx"):
        await load_splade(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    with pytest.raises(PermanentError, match="cannot be loaded"):
        await load_splade(tmp_path)

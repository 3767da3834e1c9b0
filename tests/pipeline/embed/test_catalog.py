import pytest
from chromadb.utils.embedding_functions import chroma_cloud_qwen_embedding_function as chroma

from syncd.errors import ConfigError, NotFoundError
from syncd.model import EmbeddingTask
from syncd.pipeline.embed.catalog import MINILM, QWEN3, Catalog, EmbeddingModel, ModelFile

qwen = Catalog().find(QWEN3)
minilm = Catalog().find(MINILM)


def test_qwen3_documents_get_no_prompt_and_queries_the_instruction_of_its_model_card():
    assert qwen.prompted("text", "document") == "text"
    assert qwen.prompted("text", "query") == (
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:text"
    )


def test_qwen3_knows_the_code_task_of_chromas_own_embedding_function():
    instructions = chroma.CHROMA_CLOUD_QWEN_DEFAULT_INSTRUCTIONS["nl_to_code"]
    task = EmbeddingTask("nl_to_code")
    for_query = instructions[chroma.ChromaCloudQwenEmbeddingTarget.QUERY]
    assert qwen.prompted("sort", "query", task) == f"Instruct: {for_query}\nQuery:sort"
    assert instructions[chroma.ChromaCloudQwenEmbeddingTarget.DOCUMENTS] == ""
    assert qwen.prompted("sort", "document", task) == "sort"


def test_an_unknown_task_without_prompts_means_the_models_default():
    assert qwen.prompted("a", "query", EmbeddingTask("generic_retrieval")) == qwen.prompted("a", "query")


def test_a_tasks_prompts_replace_the_models():
    task = EmbeddingTask("mine", document_prompt="Find laws", query_prompt="")
    assert qwen.prompted("a", "document", task) == "Instruct: Find laws\nQuery:a"
    assert qwen.prompted("a", "query", task) == "a"


def test_a_prompt_already_in_the_models_form_goes_in_front_as_it_is():
    task = EmbeddingTask("mine", query_prompt="Instruct: Find laws\nQuery: ")
    assert qwen.prompted("a", "query", task) == "Instruct: Find laws\nQuery: a"


def test_a_prompt_with_a_place_for_the_text_is_a_template():
    task = EmbeddingTask("mine", document_prompt="title: none | text: {text}")
    assert minilm.prompted("a {prompt}", "document", task) == "title: none | text: a {prompt}"


def test_a_text_that_looks_like_a_template_stays_as_it_is():
    assert qwen.prompted("{text} {prompt}", "query").endswith("\nQuery:{text} {prompt}")


def test_models_without_a_template_get_the_prompt_in_front():
    assert minilm.prompted("a", "query") == "a"
    assert minilm.prompted("a", "query", EmbeddingTask("t", query_prompt="query: ")) == "query: a"


def test_added_models_stand_beside_the_built_in_ones():
    mine = EmbeddingModel("mine", (ModelFile("F16", "mine.gguf"),), pooling="cls", dimensions=8, max_tokens=512)
    catalog = Catalog([mine])
    assert catalog.names() == [QWEN3, MINILM, "mine"]
    assert catalog.find("mine") is mine


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(NotFoundError, match=f"known are: {QWEN3}"):
        Catalog().find("gpt")


def test_an_unknown_quantisation_is_refused_with_the_known_ones():
    assert qwen.file().quantisation == "Q8_0"
    with pytest.raises(ConfigError, match="choose from Q8_0, F16"):
        qwen.file("Q2_K")

"""The catalogue of dense models: files, limits and prompts. Built-in models, and those of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from syncd.errors import ConfigError, NotFoundError
from syncd.model import EmbeddingTask, Role
from syncd.pipeline.embed.variant import Pooling
from syncd.schema import unknown

QWEN3 = "Qwen/Qwen3-Embedding-0.6B"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"

_QWEN3_GGUF = "https://huggingface.co/Qwen/Qwen3-Embedding-0.6B-GGUF/resolve/370f27d7550e0def9b39c1f16d3fbaa13aa67728/"


LEAST_DIMENSIONS = 32
"""The fewest that Qwen3-Embedding's cards name; below, little of a vector's meaning is left."""
MATRYOSHKA = frozenset(f"Qwen/Qwen3-Embedding-{size}" for size in ("0.6B", "4B", "8B"))
"""Models trained so that the leading dimensions of a vector are a vector in themselves, by their cards."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One GGUF of a model. `url` None: not downloadable. `sha256` None: nobody vouches for the bytes, only the
    file's structure is checked when it is loaded. `made_from`: the quantisation of the file this one is made of here.
    """

    quantisation: str
    name: str
    url: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    made_from: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """One dense model. The first of `files` is the default.

    `max_tokens` is the window texts are embedded in, special tokens included; longer texts follow the rule of
    `windows`. `template` wraps a prompt and a text; `prompts` are the queries' prompts of known task names, '' being
    the default. `matryoshka`: whether collections may hold fewer dimensions: any number, or one of those.
    """

    name: str
    files: tuple[ModelFile, ...]
    pooling: Pooling
    dimensions: int
    max_tokens: int
    template: str = "{prompt}{text}"
    document_prompt: str = ""
    prompts: Mapping[str, str] = field(default_factory=lambda: {"": ""})
    matryoshka: bool | tuple[int, ...] = False

    def may_have(self, dimensions: int) -> bool:
        """Return whether a vector cut to that many dimensions means the same, by the model's training."""
        if isinstance(self.matryoshka, tuple):
            return dimensions in self.matryoshka and dimensions < self.dimensions
        return self.matryoshka and LEAST_DIMENSIONS <= dimensions < self.dimensions

    def file(self, quantisation: str | None = None) -> ModelFile:
        """Return the file of `quantisation`, or the default one. Raises ConfigError if there is none."""
        for file in self.files:
            if quantisation in (None, file.quantisation):
                return file
        known = ", ".join(file.quantisation for file in self.files)
        raise ConfigError(f"model {self.name} has no quantisation {quantisation!r}; choose from {known}")

    @property
    def prompt_mark(self) -> str:
        """What tells vectors with the model's own prompt for documents from those with another one; '' without a prompt."""
        prompt = self.prompted("", "document")
        return f":{sha256(prompt.encode()).hexdigest()[:16]}" if prompt else ""

    def prompted(self, text: str, role: Role, task: EmbeddingTask | None = None) -> str:
        """Return what the model sees of `text`.

        The task's prompt for `role` counts, else the model's own ('' means none). A prompt that contains `{text}` is
        a template of its own; one that already begins like the model's template goes in front as it is; any other is
        put into the model's template, which for Qwen3 is `Instruct: {prompt}` and `Query:{text}` on two lines.
        """
        prompt = self._prompt(role, task)
        if not prompt:
            return text
        if "{text}" in prompt:
            return prompt.replace("{text}", text)
        opening = self.template.partition("{prompt}")[0]
        if opening and prompt.startswith(opening):
            return prompt + text
        return self.template.replace("{prompt}", prompt).replace("{text}", text)

    def _prompt(self, role: Role, task: EmbeddingTask | None) -> str:
        if role == "document":
            return self.document_prompt if task is None or task.document_prompt is None else task.document_prompt
        if task is None:
            return self.prompts[""]
        return self.prompts.get(task.name, self.prompts[""]) if task.query_prompt is None else task.query_prompt


BUILT_IN = (
    EmbeddingModel(
        name=QWEN3,
        files=(
            ModelFile(
                "Q8_0",
                "Qwen3-Embedding-0.6B-Q8_0.gguf",
                _QWEN3_GGUF + "Qwen3-Embedding-0.6B-Q8_0.gguf",
                "06507c7b42688469c4e7298b0a1e16deff06caf291cf0a5b278c308249c3e439",
                639_150_592,
            ),
            ModelFile(
                "F16",
                "Qwen3-Embedding-0.6B-f16.gguf",
                _QWEN3_GGUF + "Qwen3-Embedding-0.6B-f16.gguf",
                "421a27e58d165478cc7acb984a688c2aa41404968b0203e7cd743ece44c54340",
                1_197_629_632,
            ),
            ModelFile("Q4_K_M", "Qwen3-Embedding-0.6B-Q4_K_M.gguf", made_from="F16"),
        ),
        pooling="last",
        dimensions=1024,
        # The model takes 32,768; a window this long computes at half the speed of short ones, and 8 KiB of text,
        # the largest chunk by default, is about as much.
        max_tokens=2048,
        template="Instruct: {prompt}\nQuery:{text}",
        prompts={
            "": "Given a web search query, retrieve relevant passages that answer the query",
            "nl_to_code": "Given a question about coding, retrieval code or passage that can solve user's question",
        },
        matryoshka=True,
    ),
    EmbeddingModel(
        name=MINILM,
        files=(
            ModelFile("F16", "all-MiniLM-L6-v2-F16.gguf"),
            ModelFile("Q8_0", "all-MiniLM-L6-v2-Q8_0.gguf", made_from="F16"),
            ModelFile("Q4_K_M", "all-MiniLM-L6-v2-Q4_K_M.gguf", made_from="F16"),
        ),
        pooling="mean",
        dimensions=384,
        max_tokens=256,
    ),
)
"""Prompts: the models' cards, and for `nl_to_code` chromadb's chroma-cloud-qwen embedding function (1.5.9)."""


class Catalog:
    """Models by name. `added` ones replace built-in ones of the same name."""

    def __init__(self, added: Iterable[EmbeddingModel] = ()) -> None:
        self._models = {model.name: model for model in (*BUILT_IN, *added)}

    def names(self) -> list[str]:
        """Return the names of all models."""
        return list(self._models)

    def find(self, name: str) -> EmbeddingModel:
        """Return the model called `name`. Raises NotFoundError, which names the known ones."""
        if model := self._models.get(name):
            return model
        raise NotFoundError(unknown("model", name, self._models))

    def check_dimensions(self, name: str, dimensions: int | None) -> None:
        """Raise ConfigError unless vectors of a known model may be shortened so; None: they are not."""
        model = self.find(name)
        if dimensions is None or model.may_have(dimensions):
            return
        if not model.matryoshka:
            trained = ", ".join(model.name for model in self._models.values() if model.matryoshka) or "none"
            raise ConfigError(
                f"dimensions = {dimensions}: {name} was not trained for shortened vectors (matryoshka); those that were: {trained}"
            )
        choice = f"{LEAST_DIMENSIONS} to {model.dimensions - 1}"
        if isinstance(model.matryoshka, tuple):
            choice = ", ".join(str(one) for one in model.matryoshka if one < model.dimensions)
        raise ConfigError(
            f"dimensions = {dimensions}: {name} has {choice}, or all {model.dimensions} if you leave it out"
        )

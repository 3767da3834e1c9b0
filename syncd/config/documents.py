"""`[documents]` in the configuration file: how files become text, and within which limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from syncd.config.secret import KeyedTable
from syncd.model.limits import MAX_DOCUMENT_SIZE_BYTES
from syncd.schema import BaseUrl, Table

Language = Annotated[str, Field(pattern=r"^[A-Za-z_]{3,20}$")]
MEBIBYTE = 1 << 20


class VisionTable(KeyedTable):
    """`[documents.vision]`: a model that describes pictures, behind an endpoint or as a file on this machine."""

    url: BaseUrl | None = None
    """Base URL of an endpoint that speaks OpenAI's API; `/chat/completions` is appended."""
    model: str = ""
    """The endpoint's name for its model."""
    path: Path | None = None
    """A vision model's GGUF file, run through llama.cpp."""
    projector: Path | None = None
    """Its multimodal projector (mmproj), a GGUF file too."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """For `path`; 0: every core this process may use."""
    limit_s: Annotated[float, Field(gt=0)] = 120.0
    """How long one picture may take."""

    @model_validator(mode="after")
    def one_model(self) -> VisionTable:
        """Check that exactly one model is given, completely."""
        if (self.url is None) == (self.path is None):
            raise ValueError("give url (an endpoint) or path (a GGUF file)")
        if self.path is not None and self.projector is None:
            raise ValueError("path needs projector, the mmproj GGUF file that belongs to the model")
        if self.url is not None and not self.model:
            raise ValueError("url needs model, the name the endpoint knows it by")
        return self


class DoclingTable(Table):
    """`[documents.docling]`: for sources with `converter = "docling"`."""

    models_dir: Path = Path("~/.cache/docling/models")
    """Where `docling-tools models download` has put the models."""
    memory_bytes: Annotated[int, Field(ge=1 << 30)] = 8 << 30
    step_limit_s: Annotated[float, Field(gt=0)] = 600.0


class DocumentsSection(Table):
    """How PDF, Office, HTML, EPUB and picture files become Markdown; a file that exceeds a limit fails with that reason."""

    parsers: Annotated[int, Field(ge=1, le=256)] = 2
    """Documents parsed at once, each in a process of its own."""
    memory_bytes: Annotated[int, Field(ge=512 * MEBIBYTE)] = 2 << 30
    """Address space of one parser."""
    step_limit_s: Annotated[float, Field(gt=0)] = 120.0
    """Time limit of one parsing step: up to 100 pages of a PDF, or 10 scanned ones."""
    max_size_bytes: Annotated[int, Field(ge=1, le=MAX_DOCUMENT_SIZE_BYTES)] = MAX_DOCUMENT_SIZE_BYTES
    max_pages: Annotated[int, Field(ge=1, le=7000)] = 7000
    max_text_bytes: Annotated[int, Field(ge=1)] = 256 * MEBIBYTE
    max_expanded_bytes: Annotated[int, Field(ge=1)] = 1 << 30
    """Limit on the unpacked size of an archive (docx, xlsx, epub, …)."""
    ocr: bool = True
    """Read scanned pages and pictures."""
    ocr_languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("eng",)
    """Tesseract's codes; unless its data for all of them is installed, the bundled engine is used (Latin script and Chinese)."""
    vision: VisionTable | None = None
    docling: DoclingTable = DoclingTable()

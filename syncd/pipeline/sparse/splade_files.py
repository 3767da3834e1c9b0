"""Where SPLADE's files come from: a configured folder, or the models folder, which a download fills once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import anyio

from syncd.errors import PermanentError, RetryableError
from syncd.runtime.download import ProgressCallback, RemoteFile, digest_of, fetch

SPLADE = "prithivida/Splade_PP_en_v1"
SPLADE_FOLDER = "prithivida--Splade_PP_en_v1"
"""In the models folder."""
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
VOCABULARY = 30_522
"""BERT's: a dimension a word piece."""
WINDOW_TOKENS = 512
"""BERT's positions; longer texts are read in windows, and each word keeps its strongest place in any of them."""
_REVISION = "https://huggingface.co/prithivida/Splade_PP_en_v1/resolve/762be6a7206e2f299182705972a65e5c46e62be2"

PUBLISHED: Mapping[str, RemoteFile] = {
    TOKENIZER_FILE: RemoteFile(
        f"{_REVISION}/tokenizer.json", "2fc687b11de0bc1b3d8348f92e3b49ef1089a621506c7661fbf3248fcd54947e", 711_649
    ),
    MODEL_FILE: RemoteFile(
        f"{_REVISION}/onnx/model.onnx", "0934583a27a031a66b2e847cbc260fbbef29689e969f500436460ef5146a43f2", 532_126_852
    ),
}
"""The author's own ONNX export (Apache-2.0), as independent projects pin it."""


NO_RUNTIME = f"{SPLADE} needs onnxruntime, which is not installed: pip install 'syncd[splade]'"


def can_run() -> bool:
    """Return whether what computes the model is installed."""
    return find_spec("onnxruntime") is not None


def present(folder: Path) -> bool:
    """Return whether the model can be used at once: its files lie in `folder`, and what computes it is installed."""
    return files_lie_in(folder) and can_run()


def files_lie_in(folder: Path) -> bool:
    """Return whether the model's files lie in `folder`."""
    return (folder / MODEL_FILE).is_file() and (folder / TOKENIZER_FILE).is_file()


async def own_files(folder: Path) -> str:
    """Return the model's sha256 where its owner placed the files, whatever export they are.

    Raises PermanentError where they are not, RetryableError while nothing is installed that computes the model.
    """
    if not can_run():
        raise RetryableError(NO_RUNTIME)
    if not files_lie_in(folder):
        raise PermanentError(f"{SPLADE}: place its {MODEL_FILE} (an ONNX export) and {TOKENIZER_FILE} in {folder}")
    return await anyio.to_thread.run_sync(digest_of, folder / MODEL_FILE)


async def published_files(
    folder: Path, progress: ProgressCallback | None = None, files: Mapping[str, RemoteFile] = PUBLISHED
) -> str:
    """Make sure that the published files lie in `folder` and return the model's sha256; waits for a download.

    Raises RetryableError (no hub in reach: it says what to place where; or nothing is installed that computes the model: then
    nothing is downloaded) and PermanentError (wrong bytes).
    """
    if not can_run():
        raise RetryableError(NO_RUNTIME)
    digests: dict[str, str] = {}
    for name, file in files.items():
        path = folder / name
        if not path.is_file():
            await fetch(file, path, progress)
        found = digests[name] = await anyio.to_thread.run_sync(digest_of, path)
        if found != file.sha256:
            raise PermanentError(
                f"{path} has sha256 {found}, expected {file.sha256}: delete it (it will be downloaded again), or set "
                "search.splade_dir to the folder of your own export"
            )
    return digests[MODEL_FILE]

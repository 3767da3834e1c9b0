"""Vectors of documents with a prompt of the model are told from those with another one."""

from dataclasses import replace

from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.local import open_embedder


async def test_another_prompt_for_documents_makes_other_fingerprints_and_none_keeps_what_was(minilm_folder):
    model, fingerprints = Catalog().find(MINILM), []
    for prompt in ("", "passage: ", "text: "):
        async with open_embedder(replace(model, document_prompt=prompt), minilm_folder) as embedder:
            fingerprints.append(embedder.fingerprint)
    plain, *prompted = fingerprints
    assert plain.endswith(":l2-nfc-1")
    assert len(set(fingerprints)) == 3
    assert all(fingerprint.startswith(f"{plain}:") for fingerprint in prompted)

"""Keys and tokens in documents: found by their forms, masked in place, counted, and nothing else touched."""

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.errors import Skipped
from syncd.model import Chunking
from syncd.model.warnings import Warnings
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.secret_text import FORMS, masked, secret_spans

# Put together, so that nobody's scanner takes this file for a leak.
SECRETS = {
    "AWS access key id": "AKIA" + "QYLPMN5HFIQR7XYA",
    "AWS secret access key": "aB3/" * 10,
    "GitHub token": "ghp" + "_" + "a1B2" * 9,
    "GitLab token": "glpat" + "-" + "a1B2-" * 4,
    "Slack token": "xoxb" + "-1234567890-1234567890-abcDEF",
    "Slack webhook": "hooks.slack" + ".com/services/" + "T0a1" * 11,
    "Google API key": "AIza" + "Sy-_a" * 7,
    "Stripe key": "sk" + "_live_" + "a1B2" * 6,
    "OpenAI key": "sk" + "-proj-" + "a1B2" * 5 + "T3Blbk" + "FJ" + "a1B2" * 5,
    "Anthropic key": "sk-ant" + "-api03-" + "a1_" * 31 + "AA",
    "Hugging Face token": "hf" + "_" + "ab" * 17,
    "npm token": "npm" + "_" + "a1B2" * 9,
    "PyPI token": "pypi-" + "AgEIcHlwaS5vcmc" + "a1-_" * 15,
    "SendGrid key": "SG" + "." + "a" * 22 + "." + "b" * 43,
    "DigitalOcean token": "dop" + "_v1_" + "a1b2" * 16,
    "Shopify token": "shpat" + "_" + "a1b2" * 8,
    "age key": "AGE-SECRET" + "-KEY-1" + "Q" * 58,
}
PEM = "-----BEGIN RSA PRIVATE" + " KEY-----\n" + "MIIEpAIBAAKCAQEA7\n" * 5 + "-----END RSA PRIVATE" + " KEY-----\n"


def told(name: str) -> str:
    return f'aws_secret_access_key = "{SECRETS[name]}"' if name == "AWS secret access key" else f"key: {SECRETS[name]}."


@pytest.mark.parametrize("name", SECRETS)
def test_each_form_is_masked_and_what_stands_around_it_is_not(name: str) -> None:
    text = told(name)
    assert masked(text) == (text.replace(SECRETS[name], "*" * len(SECRETS[name])), {name: 1})


def test_every_form_has_its_example() -> None:
    assert {form.name for form in FORMS} == SECRETS.keys()


def test_of_a_private_key_the_lines_stay_and_the_ink_goes() -> None:
    text, counts = masked(f"before\n{PEM}after\n")
    assert counts == {"private key": 1}
    assert text.split("\n")[:4] == ["before", PEM.split("\n", maxsplit=1)[0], "*" * 17, "*" * 17]
    assert text.endswith("after\n")


@pytest.mark.parametrize("lines", [10, 3000])
def test_a_mention_of_a_keys_first_line_hides_neither_a_key_behind_it_nor_what_is_between(lines: int) -> None:
    before = f'if "{PEM.splitlines()[0]}" in text:\n' + "    x = 1  # some code\n" * lines
    text, counts = masked(before + PEM)
    assert counts == {"private key": 1}
    assert text.startswith(before)
    assert text.endswith(masked(PEM)[0])


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----" + "x" * 100,
        "-----BEGIN CERTIFICATE-----\n" + "MIIE" * 50 + "\n-----END CERTIFICATE-----",
        "ghp_short, task-1, risk-2, sk-learn, hf_hub, npm_config_cache, MSG.send",
        "x" + SECRETS["GitHub token"],
        "sha256:" + "0123456789abcdef" * 4,
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert masked(text) == (text, {})


PIECES = st.sampled_from([*SECRETS.values(), PEM, "-----BEGIN ", "-----END ", "\n", "é", "🪁", "AKIA", "a"]) | st.text(
    max_size=5
)


@given(st.lists(PIECES, max_size=12))
@example(["-----BEGIN X PRIVATE KEY-----", "é" * 70, "-----END "])
def test_bytes_and_lines_stay_where_they_are_and_nothing_is_found_twice(pieces: list[str]) -> None:
    text = "".join(pieces)
    clean, counts = masked(text)
    assert len(clean.encode("utf-8", "surrogatepass")) == len(text.encode("utf-8", "surrogatepass"))
    assert clean.count("\n") == text.count("\n")
    assert sum(counts.values()) == len(secret_spans(text))


async def test_documents_are_masked_skipped_or_indexed_as_their_source_says() -> None:
    key = SECRETS["GitHub token"]
    file, prose = f"TOKEN = '{key}'\nOTHER = '{key}'\n".encode(), b"no secret here\n"
    async with DocumentPreparer() as preparer:

        async def prepared(policy, data: bytes, name: str) -> tuple[str, list[tuple[str, int]]]:
            warnings, texts = Warnings(), list[str]()
            async for batch in preparer.treating(policy).prepare(
                io.BytesIO(data), name, None, name, Chunking(), warnings
            ):
                texts += [chunk.text for chunk in batch]
            return "".join(texts), [(warning.code, warning.count) for warning in warnings.all()]

        for name in ("a.py", "a.md", "a.html"):
            text, warnings = await prepared("mask", file, name)
            assert ("*" * len(key) in text, key in text, warnings) == (True, False, [("secret_found", 2)]), name
        assert key in (await prepared("index", file, "a.py"))[0]
        assert await prepared("skip", prose, "b.md") == ("no secret here\n", [])
        with pytest.raises(Skipped, match="holds keys or tokens"):
            await prepared("skip", file, "a.py")
    fingerprints = {preparer.treating(policy).fingerprint("a.py") for policy in ("mask", "skip", "index")}
    assert len(fingerprints) == 3
    assert preparer.fingerprint("a.py") in fingerprints

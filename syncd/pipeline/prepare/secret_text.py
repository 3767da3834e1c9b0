"""Finds keys and tokens in text and masks them, so that none becomes searchable.

Only forms that hardly anything else has, so that masking takes away nothing else: those of services' tokens as gitleaks 8.30
(MIT, github.com/gitleaks/gitleaks, config/gitleaks.toml) describes them, without its guesses by entropy, and AWS secrets
behind their own names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from syncd.model import Part
from syncd.pipeline.parse.task import Task

MASK = "*"
MAX_KEY_CHARACTERS = 20_000
"""A longer "private key" is none; the longest usual one, RSA of 16,384 bits, has 13,000."""
MIN_KEY_CHARACTERS = 64
"""What stands between the lines of a shorter one is an ellipsis in a manual."""


class SecretForm(NamedTuple):
    """What a kind of secret looks like. Each begins with one of the `literals`, which are found much faster than patterns."""

    name: str
    literals: Sequence[str]
    pattern: re.Pattern[str]


class SecretSpan(NamedTuple):
    """Where in a text a secret stands."""

    start: int
    end: int
    name: str


FORMS: Sequence[SecretForm] = (
    SecretForm(
        "AWS access key id",
        (
            "AKIA",
            "ASIA",
            "ABIA",
            "ACCA",
        ),
        re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", re.ASCII),
    ),
    SecretForm(
        "AWS secret access key",
        (
            "aws_secret",
            "AWS_SECRET",
            "awsSecret",
            "AwsSecret",
            "AWSSecret",
        ),
        re.compile(
            r"aws_?secret_?(?:access_?)?key[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
            re.ASCII | re.IGNORECASE,
        ),
    ),
    SecretForm(
        "GitHub token",
        (
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
        ),
        re.compile(r"\bgh[pousr]_[0-9A-Za-z]{36}", re.ASCII),
    ),
    SecretForm("GitHub token", ("github_pat_",), re.compile(r"\bgithub_pat_\w{82}", re.ASCII)),
    SecretForm("GitLab token", ("glpat-",), re.compile(r"\bglpat-[\w-]{20}", re.ASCII)),
    SecretForm(
        "Slack token",
        (
            "xoxb-",
            "xoxp-",
            "xoxe-",
        ),
        re.compile(r"\bxox[bpe]-[0-9]{10,13}-[0-9]{10,13}[a-zA-Z0-9-]{0,200}", re.ASCII),
    ),
    SecretForm(
        "Slack webhook",
        ("hooks.slack.com/",),
        re.compile(r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,56}", re.ASCII),
    ),
    SecretForm("Google API key", ("AIza",), re.compile(r"\bAIza[\w-]{35}(?![\w-])", re.ASCII)),
    SecretForm(
        "Stripe key",
        (
            "sk_live_",
            "rk_live_",
            "sk_prod_",
            "rk_prod_",
        ),
        re.compile(r"\b[sr]k_(?:live|prod)_[a-zA-Z0-9]{10,99}\b", re.ASCII),
    ),
    SecretForm("OpenAI key", ("sk-",), re.compile(r"\bsk-[\w-]{20,80}T3BlbkFJ[\w-]{20,80}", re.ASCII)),
    SecretForm("Anthropic key", ("sk-ant-",), re.compile(r"\bsk-ant-(?:api|admin)[0-9]{2}-[\w-]{93}AA\b", re.ASCII)),
    SecretForm("Hugging Face token", ("hf_",), re.compile(r"\bhf_[a-zA-Z]{34}\b", re.ASCII)),
    SecretForm("npm token", ("npm_",), re.compile(r"\bnpm_[a-zA-Z0-9]{36}\b", re.ASCII)),
    SecretForm("PyPI token", ("pypi-AgEIcHlwaS5vcmc",), re.compile(r"\bpypi-AgEIcHlwaS5vcmc[\w-]{50,1000}", re.ASCII)),
    SecretForm("SendGrid key", ("SG.",), re.compile(r"\bSG\.[\w-]{22}\.[\w-]{43}(?![\w-])", re.ASCII)),
    SecretForm(
        "DigitalOcean token",
        (
            "dop_v1_",
            "doo_v1_",
            "dor_v1_",
        ),
        re.compile(r"\bdo[opr]_v1_[a-f0-9]{64}\b", re.ASCII),
    ),
    SecretForm(
        "Shopify token",
        (
            "shpat_",
            "shpss_",
            "shpca_",
            "shppa_",
        ),
        re.compile(r"\bshp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}\b", re.ASCII),
    ),
    SecretForm(
        "age key",
        ("AGE-SECRET-KEY-1",),
        re.compile(r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b", re.ASCII),
    ),
)
_BEGIN = "-----BEGIN "
_END = "-----END "
_PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 _-]{0,100}PRIVATE KEY(?: BLOCK)?-----")
_INK = re.compile(r"[^\s]+")


def secret_spans(text: str) -> Sequence[SecretSpan]:
    """Return the secrets in a text, in order and apart. AWS's examples, which manuals show, are none."""
    found = [*_tokens(text), *_private_keys(text)]
    apart: list[SecretSpan] = []
    for span in sorted(found):
        if not apart or span.start >= apart[-1].end:
            apart.append(span)
    return apart


def masked(text: str) -> tuple[str, Mapping[str, int]]:
    """Return a text with its secrets masked, and how many of each kind they were. Its bytes and lines stay where they are."""
    pieces: list[str] = []
    counts: dict[str, int] = {}
    at = 0
    for span in secret_spans(text):
        pieces += (text[at : span.start], _INK.sub(_stars, text[span.start : span.end]))
        counts[span.name] = counts.get(span.name, 0) + 1
        at = span.end
    return ("".join([*pieces, text[at:]]), counts) if counts else (text, counts)


def without_secrets(part: Part, task: Task) -> Part:
    """Return a part of a document with its secrets masked; they are counted in the document's warnings."""
    text, counts = masked(part.text)
    for name, count in counts.items():
        task.warn("secret_found", f"{name}; the source's `secrets` says what becomes of such", count)
    return replace(part, text=text) if counts else part


def _stars(ink: re.Match[str]) -> str:
    return MASK * len(ink[0].encode("utf-8", "surrogatepass"))


def _tokens(text: str) -> Iterator[SecretSpan]:
    for form in FORMS:
        group = "secret" if "secret" in form.pattern.groupindex else 0
        for literal in form.literals:
            at = text.find(literal)
            while at >= 0:
                match = form.pattern.match(text, at)
                if match and not match[group].endswith(("EXAMPLE", "EXAMPLEKEY")):
                    yield SecretSpan(*match.span(group), form.name)
                at = text.find(literal, at + len(literal))


def _private_keys(text: str) -> Iterator[SecretSpan]:
    """Yield what stands between the first and the last line of private keys. A first line that another one follows is but mentioned."""
    at = text.find(_BEGIN)
    while at >= 0:
        following = text.find(_BEGIN, at + len(_BEGIN))
        if begun := _PRIVATE.match(text, at):
            end = text.find(_END, begun.end(), following if following >= 0 else len(text))
            if MIN_KEY_CHARACTERS <= end - begun.end() <= MAX_KEY_CHARACTERS:
                yield SecretSpan(begun.end(), end, "private key")
        at = following

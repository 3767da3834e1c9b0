"""What a default installation brings along may be used, changed and passed on freely, by what its packages say of themselves."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[1] / "requirements.lock"
PACKAGES = re.findall(r"(?m)^([a-z0-9][\w.-]*)==", LOCK.read_text())
FREE = (
    "0bsd", "apache", "bsd", "cc0", "cnri-python", "isc", "mit", "mozilla public license", "mpl-", "psf", "python software foundation",
    "unlicense", "zlib", "hpnd",
)  # fmt: skip
"""Beginnings of licences that ask for no more than a notice, or (MPL) for changes of their own files."""

EXAMINED = {
    "dependency licenses": "pypdfium2: of PDFium's own parts (FreeType, libjpeg-turbo, OpenJPEG, …), all of which are free"
}
"""What is no licence's name, and what it stands for."""


def licences_of(name: str) -> str:
    """Return what a package calls its licence: an SPDX expression, or the words of its classifiers or its field."""
    about = metadata(name)
    classifiers = [it.rpartition(" :: ")[2] for it in about.get_all("Classifier") or () if it.startswith("License ::")]
    named = "; ".join(it for it in classifiers if it != "OSI Approved")
    return about.get("License-Expression") or named or (about.get("License") or "").partition("\n")[0]


def is_free(licences: str) -> bool:
    """Return whether all of the licences are free, or one of those that may be chosen from."""
    choices = re.split(r"\bor\b", licences.lower().strip("() "))
    if len(choices) > 1 and " and " not in licences.lower():
        return any(is_free(choice) for choice in choices)
    each = [one.strip("() ") for one in re.split(r"\band\b|\bor\b|;|,(?! version)", licences.lower())]
    return all(
        one.startswith(FREE) or one in EXAMINED or re.fullmatch(r"the \w+ license|\d-clause bsd license", one)
        for one in each
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_is_free_to_use_and_pass_on(name: str):
    try:
        licences = licences_of(name)
    except PackageNotFoundError:
        pytest.skip("it is for other machines")
    assert is_free(licences), f"{name}: {licences!r}"


def test_copyleft_is_told_from_what_is_free():
    assert is_free("MIT AND (Apache-2.0 OR BSD-2-Clause)")
    assert is_free("MPL-1.1 OR GPL-2.0-only OR LGPL-2.1-or-later")
    for other in (
        "GPL-3.0-only",
        "MIT AND AGPL-3.0-or-later",
        "GNU Lesser General Public License v3",
        "",
        "Proprietary",
    ):
        assert not is_free(other), other

"""What the locks install is what pyproject.toml allows, whole, and nothing that was left out of them."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from syncd.pipeline.embed.files import WEIGHTS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = {"requirements.lock": "minilm", "requirements-test.lock": "test"}
LEFT_OUT = {canonicalize_name(name) for name in PROJECT["tool"]["uv"]["exclude-dependencies"]}
STATED = {
    canonicalize_name(each["name"]): (each["version"], each["requires-dist"])
    for each in PROJECT["tool"]["uv"]["dependency-metadata"]
}
"""Packages that the locks install with less than they ask for, by name: the version that is spoken of, and what is left."""


def locked(name: str) -> dict[str, str]:
    """The versions that a lock installs here, by canonical name."""
    entries = re.findall(r"^([^\s#][^\\\n]*?) *\\?$", (ROOT / name).read_text(), re.MULTILINE)
    requirements = [Requirement(entry) for entry in entries]
    return {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in requirements
        if each.marker is None or each.marker.evaluate()
    }


def wanted(extra: str) -> list[Requirement]:
    project = PROJECT["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"][extra]]
    own = [Requirement(text) for text in texts]
    inner = [each for requirement in own if requirement.name == "syncd" for each in requirement.extras]
    return [each for each in own if each.name != "syncd"] + [
        Requirement(text) for each in inner for text in project["optional-dependencies"][each]
    ]


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_names_every_requirement_within_its_bounds(name):
    versions = locked(name)
    for requirement in wanted(EXTRAS[name]):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_names_what_its_packages_require_in_turn_but_not_what_is_left_out(name):
    versions = locked(name)
    assert LEFT_OUT.isdisjoint(versions)
    missing: set[str] = set()
    extras: dict[str, set[str]] = {canonicalize_name(each.name): each.extras for each in wanted(EXTRAS[name])}
    pending = list(versions)
    while pending:
        package = pending.pop()
        try:
            installed = distribution(package)
        except PackageNotFoundError:
            continue  # an environment made otherwise, which has its own tests
        if installed.version != versions[package]:
            continue
        for text in STATED[package][1] if package in STATED else installed.requires or ():
            requirement = Requirement(text)
            required = canonicalize_name(requirement.name)
            asked = extras.get(package, set()) | {""}
            if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in asked):
                continue
            if required in LEFT_OUT:
                continue
            if required not in versions or not requirement.specifier.contains(versions[required], prereleases=True):
                missing.add(f"{package}: {text}")
            elif not requirement.extras <= extras.setdefault(required, set()):
                extras[required] |= requirement.extras
                pending.append(required)
    assert missing == set()


@pytest.mark.parametrize("package", STATED)
def test_what_is_stated_of_a_package_is_a_part_of_what_its_locked_version_asks_for(package):
    version, stated = STATED[package]
    assert locked("requirements.lock")[package] == version == distribution(package).version
    asked = {
        it.name: it for it in map(Requirement, distribution(package).requires or ()) if "extra" not in str(it.marker)
    }
    for requirement in map(Requirement, stated):
        assert requirement.specifier == asked[requirement.name].specifier
        assert requirement.extras <= asked[requirement.name].extras


def test_the_weights_that_an_error_names_are_the_locked_ones():
    assert Requirement(WEIGHTS).specifier.contains(
        locked("requirements.lock")[canonicalize_name(Requirement(WEIGHTS).name)]
    )


def test_tests_run_with_the_versions_that_users_get():
    assert locked("requirements.lock").items() <= locked("requirements-test.lock").items()


@pytest.mark.parametrize("name", EXTRAS)
def test_every_locked_file_has_its_hash_and_no_package_index_is_named(name):
    text = (ROOT / name).read_text()
    pins = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    assert pins
    assert all(re.match(r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+.* \\$", pin) for pin in pins), (
        "every pin goes on with its hashes"
    )
    assert re.findall(r"^ *(?!#)\S*(?:index-url|find-links|://)", text, re.MULTILINE) == []
    for stanza in re.split(r"(?m)^(?=[a-z0-9])", text)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", stanza), stanza.split("\n", 1)[0]


USES = """
import sys
sys.modules |= dict.fromkeys(sys.argv[1].split())
import chromadb
from syncd.chroma import transport
from syncd.html.density import main_fragment

words = "<p>The ferry waits for the keeper of the lighthouse, who writes letters all day.</p>" * 8
page = f"<body><nav><a href=/a>Home</a></nav><article><h1>Ferry</h1>{words}</article><footer>Imprint</footer></body>"
print(main_fragment(page.encode(), "https://example.com/").text)
"""


def test_the_packages_do_what_is_asked_of_them_without_what_was_left_out():
    left_out = "babel bcrypt build dateparser importlib_resources kubernetes onnxruntime pypika typer"
    ran = subprocess.run([sys.executable, "-c", USES, left_out], capture_output=True, text=True, timeout=120)
    assert ("keeper of the lighthouse" in ran.stdout, "Imprint" in ran.stdout) == (True, False), ran.stderr

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.errors import ConfigError
from syncd.sources.globs import Globs

NAMES = st.sampled_from(["a", "b", "ab", "a.py", "b.md", "src", "docs", "x y"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = st.sampled_from(["a", "b", "*", "**", "?", "*.py", "[ab]", "[!a]", "src", "docs", "b.*", "x y", "a*b"])
PATTERNS = st.builds(
    lambda pieces, start, end: start + "/".join(pieces) + end,
    st.lists(PIECES, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
    st.sampled_from(["", "/"]),
).filter(lambda pattern: not pattern.endswith("**/"))  # git wants a folder there, we take what is below one


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (("*",), "any/thing.at.all", True),
        (("*.py",), "a/b/c.py", True),
        (("*.py",), "c.pyi", False),
        (("docs/*.md",), "docs/a.md", True),
        (("docs/*.md",), "x/docs/a.md", False),
        (("docs/*.md",), "docs/x/a.md", False),
        (("docs/**/*.md",), "docs/x/y/a.md", True),
        (("src/",), "src/deep/a", True),
        (("src",), "x/src/a", True),
        (("/src",), "x/src/a", False),
        (("*", "!*.md"), "a.md", False),
        (("*", "!docs/**"), "docs/a", False),
        (("*", "!docs/**", "docs/keep.md"), "docs/keep.md", True),
        (("# no comment",), "# no comment", False),
        ((r"\#1",), "#1", True),
        (("A.py",), "a.py", False),
        (("?.md",), "日.md", True),
        ((), "a", False),
    ],
)
def test_patterns_mean_what_they_mean_in_gitignore(patterns: tuple[str, ...], path: str, expected: bool) -> None:
    assert Globs(patterns, "include_globs").match(path) is expected


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check_ignore")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patterns=st.lists(PATTERNS, min_size=1, max_size=4), paths=st.lists(PATHS, min_size=1, max_size=30, unique=True))
def test_git_itself_agrees(scratch: Path, patterns: list[str], paths: list[str]) -> None:
    (scratch / ".git/info/exclude").write_text("\n".join(patterns) + "\n")
    answer = subprocess.run(
        ["git", "-C", str(scratch), "check-ignore", "--no-index", "--stdin", "-z"],
        input="\0".join(paths).encode(),
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        stdout=subprocess.PIPE,
    )
    taken = set(answer.stdout.decode().split("\0")) - {""}
    globs = Globs(patterns, "include_globs")
    assert {path for path in paths if globs.match(path)} == taken


@settings(max_examples=200, deadline=None)
@given(patterns=st.lists(st.text(max_size=30), max_size=4), path=PATHS)
def test_any_text_is_a_pattern_or_a_clear_error(patterns: list[str], path: str) -> None:
    problem = ""
    try:
        assert Globs(patterns, "include_globs").match(path) in (True, False)
    except ConfigError as error:
        problem = str(error)
    assert not problem or (problem.startswith("include_globs") and "\n" not in problem)


def test_a_hostile_pattern_costs_little() -> None:
    globs = Globs(("*a" * 200 + "b",), "include_globs")
    assert not globs.match("a" * 2000)


@pytest.mark.parametrize("pattern", ["[z-a]", "a[!z-a]b", "[a-\\]]"])
def test_a_range_that_runs_backwards_is_a_clear_error(pattern: str) -> None:
    with pytest.raises(ConfigError, match="is not a gitignore pattern"):
        Globs((pattern,), "include_globs")

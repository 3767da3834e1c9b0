import pytest

from syncd.search.paths import content_of, kinds_of_path


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        (
            "tests",
            ["tests/a.py", "pkg/a_test.go", "src/test/java/FooTest.java", "a.spec.ts", "test_a.py", "__mocks__/a.js"],
        ),
        ("vendored", ["vendor/a/b.go", "third_party/x.c", "web/node_modules/a/i.js", "static/jquery.min.js"]),
        ("generated", ["api/v1_pb2.py", "api/a.pb.go", "src/generated/A.java", "Cargo.lock", "src/locales/de.ts"]),
        ("legacy", ["src/legacy/a.ts", "urllib_compat.py", "deprecated/x.rb"]),
        ("docs", ["README.md", "docs/a.rst", "examples/chat/main.py", "CHANGELOG"]),
        ("config", ["pyproject.toml", ".gitignore", "a/b.yaml", "Dockerfile"]),
    ],
)
def test_folders_and_names_tell_what_a_file_is(kind, paths):
    assert [path for path in paths if kind not in kinds_of_path(path)] == []


@pytest.mark.parametrize(
    "path", ["src/contest.py", "latest/a.go", "lib/router.ex", "src/threshold.c", "Contest.java", "src/specific.ts"]
)
def test_ordinary_code_is_none_of_them(path):
    assert kinds_of_path(path) == frozenset()


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ("code", ["a.py", "examples/main.go", "Rakefile", "style.css", "query.sql"]),
        ("docs", ["README.md", "a.rst", "report.pdf", "https://example.com/guide", "LICENSE", "page.html"]),
        ("config", ["package.json", "a/b.yaml", "Dockerfile", ".gitignore", "pyproject.toml", "table.csv"]),
    ],
)
def test_a_key_tells_what_a_document_holds(content, keys):
    assert [key for key in keys if content_of(key) != content] == []

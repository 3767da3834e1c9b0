"""Sites that Sphinx and MkDocs build, crawled by the daemon: what their authors wrote is in the collection, line by line."""

import mimetypes
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.daemon import MINILM, Daemon, held
from tests.serving import serve

CODE = """def add(first, second):
    \"\"\"Add two numbers.\"\"\"
    total = first + second

    return total


print(add(1, 2))"""
TITLES = ("Cookies", "Pagination", "Print", "Skip", "Share", "Sign up", "Related", "Tags", "Search form")
SIGNATURES = (
    "print(*objects, sep=' ', **options)",
    "skip(reason, /)",
    "share(path: str, *, to='all') -> bool",
    "class client.Cookies(jar=None)",
)
TABS = {"Linux": "apt install demo", "Windows": "choco install demo"}
QUESTION, ANSWER = "How do I reset my password?", "Open the settings page and follow the link in the letter."


def prose(title: str) -> str:
    return f"What the client does about {title.lower()} is told here, in as many words as a reader needs who has never met it."


def indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line if line else "" for line in text.splitlines())


def underlined(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}\n\n"


def sphinx_site(folder: Path, linenos: str) -> Path:
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "conf.py").write_text(
        f"project = 'Demo'\nextensions = ['sphinx_design']\nhtml_theme = 'alabaster'\nhtml_codeblock_linenos_style = '{linenos}'\n"
        "html_copy_source = False\n"
    )
    sections = "".join(underlined(title, "-") + prose(title) + "\n\n" for title in TITLES)
    tabs = "".join(
        f"   .. tab-item:: {label}\n\n      .. code-block:: sh\n\n         {line}\n\n" for label, line in TABS.items()
    )
    (source / "index.rst").write_text(
        underlined("Demo", "=")
        + prose("everything")
        + "\n\n.. toctree::\n\n   functions\n\n"
        + sections
        + underlined("Numbered", "-")
        + f".. code-block:: python\n   :linenos:\n\n{indented(CODE, 3)}\n\n"
        + underlined("Installed", "-")
        + f".. tab-set::\n\n{tabs}"
        + f".. dropdown:: {QUESTION}\n\n   {ANSWER}\n"
    )
    signatures = "".join(
        f".. py:{'class' if one.startswith('class ') else 'function'}:: {one.removeprefix('class ')}\n\n   {prose(one[:5])}\n\n"
        for one in SIGNATURES
    )
    (source / "functions.rst").write_text(underlined("Functions", "=") + prose("functions") + "\n\n" + signatures)
    built = folder / "html"
    build("sphinx", "-q", "-b", "html", str(source), str(built))
    return built


def mkdocs_site(folder: Path, linenos: str) -> Path:
    (folder / "docs").mkdir(parents=True)
    (folder / "mkdocs.yml").write_text(
        "site_name: Demo\ntheme:\n  name: material\n  font: false\nplugins: []\nmarkdown_extensions:\n  - admonition\n"
        "  - pymdownx.details\n  - pymdownx.superfences\n  - pymdownx.tabbed:\n      alternate_style: true\n"
        f"  - pymdownx.highlight:\n      linenums: true\n      linenums_style: {linenos}\n"
    )
    sections = "".join(f"## {title}\n\n{prose(title)}\n\n" for title in TITLES)
    tabs = "".join(f'=== "{label}"\n\n    ``` sh\n    {line}\n    ```\n\n' for label, line in TABS.items())
    (folder / "docs" / "index.md").write_text(
        f"# Demo\n\n{prose('everything')}\n\n[Functions](functions.md)\n\n{sections}## Numbered\n\n``` python\n{CODE}\n```\n\n"
        f'## Installed\n\n{tabs}\n\n??? question "{QUESTION}"\n\n    {ANSWER}\n'
    )
    signatures = "".join(f"### `{one}`\n\n{prose(one[:5])}\n\n" for one in SIGNATURES)
    (folder / "docs" / "functions.md").write_text(f"# Functions\n\n{prose('functions')}\n\n{signatures}")
    build("mkdocs", "build", "-q", "-f", str(folder / "mkdocs.yml"), "-d", str(folder / "html"))
    return folder / "html"


def build(*command: str) -> None:
    made = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


SITES = {
    "sphinx-inline": (sphinx_site, "inline"),
    "sphinx-table": (sphinx_site, "table"),
    "mkdocs-inline": (mkdocs_site, "pymdownx-inline"),
    "mkdocs-table": (mkdocs_site, "table"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address below which all sites are."""
    folder = tmp_path_factory.mktemp("sites")
    roots = {name: make(folder / name, style).resolve() for name, (make, style) in SITES.items()}

    async def answer(request: web.Request) -> web.StreamResponse:
        name, _, path = request.path.lstrip("/").partition("/")
        file = roots.get(name, folder / "none") / (path or "index.html")
        file = file / "index.html" if file.is_dir() else file
        if not file.is_file():
            return web.Response(status=404)
        return web.Response(
            body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        )

    with serve(answer) as url:
        yield url


@pytest.fixture(scope="module")
def daemon(built: str, minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    sources = "".join(
        f"""
[[sources]]
name = "{name}"
type = "web_scrape"
starting_url = "{built}/{name}/"
collection = "{name}"
include_path_regexes = ["^/{name}/"]
interval_s = 86400
"""
        for name in SITES
    )
    config = f"""
[api]
port = 0
[embedding]
default_model = "{MINILM}"
models_dir = "{minilm_folder}"
threads = 1
[web]
rate_per_s = 0
allow_private_addresses = ["{built.removeprefix("http://")}"]
{sources}
"""
    running = Daemon(tmp_path_factory.mktemp("daemon"), config).start()
    running.wait_until(
        lambda: (
            len(running.rows("SELECT DISTINCT source_id FROM invocations")) == len(SITES) and running.unsettled() == 0
        )
    )
    yield running
    running.stop()


@pytest.fixture(params=SITES)
def texts(request: pytest.FixtureRequest, daemon: Daemon) -> list[str]:
    """The documents of a site's collection."""
    chroma = daemon.announced()["chroma"]
    return [text for text, _ in held(chroma["host"], chroma["port"], request.param).rows.values()]


def missing(lines: list[str], texts: list[str]) -> list[str]:
    found = {line for text in texts for line in text.splitlines()}
    return [line for line in lines if line not in found]


def test_every_heading_stays_a_heading(texts: list[str]):
    headings = ["# Demo", "# Functions", *(f"## {title}" for title in (*TITLES, "Numbered", "Installed"))]
    assert missing(headings, texts) == []


def test_every_paragraph_is_there(texts: list[str]):
    words = [prose(title) for title in (*TITLES, "everything", "functions")]
    whole = [" ".join(text.split()) for text in texts]
    assert [one for one in [*words, QUESTION, ANSWER] if not any(one in text for text in whole)] == []


def test_every_signature_is_one_line_of_code(texts: list[str]):
    lines = [line.lstrip("# ") for text in texts for line in text.splitlines()]
    assert [one for one in SIGNATURES if f"`{one}`" not in lines] == []


def test_every_line_of_code_is_there_without_its_number(texts: list[str]):
    assert missing([*CODE.splitlines(), *TABS.values()], texts) == []


def test_every_tab_has_its_label(texts: list[str]):
    assert missing([f"**{label}**" for label in TABS], texts) == []


def test_nothing_of_the_page_around_it_is_there(texts: list[str]):
    noise = ("Powered by", "Made with", "Skip to content", "¶", "Page source", "Quick search", "Back to top")
    assert [words for words in noise if any(words in text for text in texts)] == []

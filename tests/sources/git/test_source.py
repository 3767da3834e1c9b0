import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.model import chunk_prefix
from syncd.sources.git.patience import Patience
from syncd.sources.git.refs import Ref
from syncd.sources.git.remote import Remote
from syncd.sources.git.repository import Repository
from syncd.sources.git.source import RepositorySettings, RepositorySource
from tests.git_server import EXECUTABLE, SUBMODULE, SYMLINK, Entry, GitServer, SlowServer
from tests.serving import serve
from tests.sources.running import SyncedCollection

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 123456789\n" % (b"1f" * 32)

Open = Callable[..., RepositorySource]


@pytest.fixture
def opened(git_server: GitServer, tmp_path: Path) -> Open:
    def open_source(**settings: object) -> RepositorySource:
        known = {"remote": git_server.remote("owner/name"), **settings}
        return RepositorySource(RepositorySettings(**known), tmp_path / "git" / "s1")  # type: ignore[arg-type]

    return open_source


async def test_a_first_run_yields_every_file_of_the_default_branch(git_server: GitServer, opened: Open) -> None:
    git_server.create(
        "owner/name", {"a.py": "a", "docs/b.md": "b", "bin/run": Entry(b"#!", EXECUTABLE)}, branch="trunk"
    )
    index = SyncedCollection()
    await index.sync(opened())
    assert index.contents == {"a.py": b"a", "bin/run": b"#!", "docs/b.md": b"b"}
    assert index.expected == 3


async def test_a_second_run_touches_only_what_was_changed_renamed_and_deleted(
    git_server: GitServer, opened: Open
) -> None:
    git_server.create("owner/name", {f"f{number}": f"{number}" for number in range(50)})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    git_server.commit("owner/name", {"f1": "changed", "f2": None, "moved/f2": "2", "f3": None, "new": "n"})
    touched = await index.sync(source)
    assert sorted(touched) == ["f1", "f2", "f3", "moved/f2", "new"]
    assert [document.key for document in index.documents] == ["f1", "f2", "f3", "moved/f2", "new"]
    assert index.expected == 5
    assert index.contents["f1"] == b"changed"
    assert "f2" not in index.contents


async def test_an_unmoved_branch_yields_nothing(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"a": "a"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    assert await index.sync(source) == []
    assert index.documents == []


async def test_a_full_sync_costs_the_same_few_requests_whatever_the_number_of_files(
    git_server: GitServer, opened: Open
) -> None:
    git_server.create("owner/name", {f"folder{number % 7}/f{number}": f"text {number}" for number in range(500)})
    index = SyncedCollection()
    await index.sync(opened())
    assert len(index.contents) == 500
    assert len(git_server.requests) <= 5


async def test_a_difference_costs_few_requests_and_not_the_unchanged_bytes(git_server: GitServer, opened: Open) -> None:
    big = os.urandom(300_000).hex()
    git_server.create("owner/name", {"big": big, "a": "a"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    git_server.requests.clear()
    git_server.commit("owner/name", {"a": "b"})
    await index.sync(source)
    assert len(git_server.requests) <= 5
    packs = list(Path(source._copy.git.folder).glob("objects/pack/*.pack"))
    assert min(pack.stat().st_size for pack in packs) < 5_000


async def test_a_branch_and_a_sha_can_be_asked_for(git_server: GitServer, opened: Open) -> None:
    first = git_server.create("owner/name", {"a": "one"})
    git_server.commit("owner/name", {"a": "two"})
    git_server.commit("owner/name", {"a": "three"}, branch="feature/x")
    source = opened()
    for ref, expected in (({"sha": first}, b"one"), ({"branch": "feature/x"}, b"three"), ({"branch": "main"}, b"two")):
        index = SyncedCollection()
        await index.sync(source, {"ref": ref})
        assert index.contents == {"a": expected}


async def test_a_sha_that_is_already_here_needs_no_request(git_server: GitServer, opened: Open) -> None:
    first = git_server.create("owner/name", {"a": "one"})
    source = opened()
    await SyncedCollection().sync(source, {"ref": {"sha": first}})
    git_server.requests.clear()
    await SyncedCollection().sync(source, {"ref": {"sha": first}})
    assert git_server.requests == []


async def test_one_collection_can_go_back_and_forth_between_commits(git_server: GitServer, opened: Open) -> None:
    first = git_server.create("owner/name", {"a": "one", "gone": "x"})
    second = git_server.commit("owner/name", {"a": "two", "gone": None})
    index, source = SyncedCollection(), opened()
    for sha, expected in ((second, {"a": b"two"}), (first, {"a": b"one", "gone": b"x"}), (second, {"a": b"two"})):
        await index.sync(source, {"ref": {"sha": sha}})
        assert index.contents == expected


async def test_what_is_no_text_is_skipped_with_its_reason(git_server: GitServer, opened: Open) -> None:
    git_server.create(
        "owner/name",
        {
            "binary.bin": b"abc\0def",
            "scan.pdf": b"%PDF-1.7\n\0\0",
            "picture.PNG": b"anything",
            "latin.txt": "café".encode("latin-1"),
            "half.txt": "é".encode()[:1],
            "big.txt": b"x" * 2001,
            "fits.txt": b"x" * 2000,
            "late-nul.txt": b"y" * 1000 + b"\0",
            "empty.txt": b"",
            "large.csv": POINTER,
            "about-lfs.md": b"A pointer is\n" + POINTER,
        },
    )
    index = SyncedCollection()
    await index.sync(opened(max_file_size_bytes=2000))
    assert index.contents["fits.txt"] == b"x" * 2000
    assert index.contents["empty.txt"] == b""
    assert index.contents["about-lfs.md"] == b"A pointer is\n" + POINTER
    reasons = {key: value[9:20] for key, value in index.contents.items() if isinstance(value, str)}
    assert reasons == {
        "binary.bin": "binary: a N",
        "scan.pdf": "binary: a N",
        "late-nul.txt": "binary: a N",
        "picture.PNG": "image: only",
        "latin.txt": "not UTF-8: ",
        "half.txt": "not UTF-8: ",
        "big.txt": "too large: ",
        "large.csv": "Git LFS: a ",
    }


async def test_a_raised_size_limit_makes_large_files_worth_another_look(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"big": "x" * 3000, "small": "y"})
    index = SyncedCollection()
    await index.sync(opened(max_file_size_bytes=2000))
    touched = await index.sync(opened(max_file_size_bytes=4000))
    assert touched == ["big"]
    assert index.contents["big"] == b"x" * 3000


async def test_globs_decide_and_changed_globs_bring_and_take_away(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"a.py": "a", "b.md": "b", "docs/c.md": "c", "docs/d.py": "d"})
    index = SyncedCollection()
    await index.sync(opened(include_globs=("*.md", "!docs/**")))
    assert set(index.contents) == {"b.md"}
    await index.sync(opened(include_globs=("docs/**",)))
    assert set(index.contents) == {"docs/c.md", "docs/d.py"}


async def test_symbolic_links_and_submodules_are_no_documents(git_server: GitServer, opened: Open) -> None:
    sub = Entry(b"1" * 40, SUBMODULE)
    git_server.create(
        "owner/name",
        {
            "a": "a",
            "link": Entry(b"/etc/passwd", SYMLINK),
            "sub": sub,
            ".gitmodules": '[submodule "sub"]\n\tpath = sub\n\turl = https://example.org/x.git\n',
        },
    )
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    assert set(index.contents) == {".gitmodules", "a"}
    git_server.commit("owner/name", {"a": Entry(b"/etc/passwd", SYMLINK), "sub": "now a file", "link": None})
    assert sorted(await index.sync(source)) == ["a", "sub"]
    assert set(index.contents) == {".gitmodules", "sub"}


async def test_odd_names_survive(git_server: GitServer, opened: Open) -> None:
    names = [
        "-rf",
        "--upload-pack=x",
        "a b",
        "tab\there",
        "new\nline",
        'quo"te',
        "back\\slash",
        "日本.txt",
        "hooks/post-checkout",
    ]
    git_server.create("owner/name", {**dict.fromkeys(names, "x"), b"caf\xe9.txt": "latin"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    assert set(index.contents) == {*names, "caf\\xe9.txt"}
    git_server.commit("owner/name", {b"caf\xe9.txt": None, "-rf": "y"})
    assert sorted(await index.sync(source)) == ["-rf", "caf\\xe9.txt"]


async def test_a_retry_of_single_keys_reads_the_commit_the_collection_is_at(
    git_server: GitServer, opened: Open
) -> None:
    git_server.create("owner/name", {"a": "one", "b": "one"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    cursor = index.cursor
    git_server.commit("owner/name", {"a": "two"})
    await index.sync(source, keys=frozenset({"a", "never"}))
    assert [document.key for document in index.documents if document.body] == ["a"]
    assert index.contents == {"a": b"one", "b": b"one"}
    assert index.cursor == cursor


async def test_a_forced_push_whose_old_commit_is_gone_everywhere_still_ends_in_the_new_state(
    git_server: GitServer, opened: Open, tmp_path: Path
) -> None:
    git_server.create("owner/name", {"a": "one", "b": "b"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    git_server.commit("owner/name", {"a": "forced", "c": "c"}, parent=None)
    git_server.forget_unreachable("owner/name")
    await index.sync(source)
    assert index.contents == {"a": b"forced", "c": b"c"}


async def test_a_lost_local_copy_is_fetched_anew(git_server: GitServer, opened: Open, tmp_path: Path) -> None:
    git_server.create("owner/name", {"a": "one", "b": "b"})
    index = SyncedCollection()
    await index.sync(opened())
    (tmp_path / "git" / "s1").rename(tmp_path / "away")
    git_server.commit("owner/name", {"b": None})
    assert await index.sync(opened()) == ["b"]


def without_packs(copy: Path) -> None:
    for pack in copy.glob("objects/pack/*"):
        pack.unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no packs": without_packs,
    "a torn configuration": lambda copy: (copy / "config").write_bytes(bytes(60)),
    "a configuration with a flipped bit": lambda copy: (copy / "config").write_text("[core]\n\tbare = tsue\n"),
    "an unknown version": lambda copy: (copy / "config").write_text("[core]\n\trepositoryformatversion = 8\n"),
    "an empty HEAD": lambda copy: (copy / "HEAD").write_bytes(b""),
    "a torn list of shallow commits": lambda copy: (copy / "shallow").write_bytes(bytes(41)),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_local_copy_is_discarded_and_fetched_anew(
    damage: str, git_server: GitServer, opened: Open, tmp_path: Path
) -> None:
    git_server.create("owner/name", {"a": "one"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    DAMAGES[damage](tmp_path / "git" / "s1")
    git_server.commit("owner/name", {"a": "two"})
    with pytest.raises(RetryableError):
        await index.sync(source)
    await index.sync(source)
    assert index.contents == {"a": b"two"}


def without_a_file(copy: Path, sha: str) -> None:
    """Repack the copy without one of its files, as a pack's index with a flipped bit does."""
    git = ("git", f"--git-dir={copy}")
    oid = subprocess.run([*git, "rev-parse", f"{sha}:a"], capture_output=True, text=True, check=True).stdout.strip()
    listed = subprocess.run([*git, "rev-list", "--objects", "--all"], capture_output=True, text=True, check=True).stdout
    kept = "".join(f"{line.split()[0]}\n" for line in listed.splitlines() if oid not in line)
    old = list(copy.glob("objects/pack/*"))
    subprocess.run([*git, "pack-objects", "-q", copy / "objects/pack/pack"], input=kept.encode(), check=True)
    for file in old:
        file.unlink()


async def test_a_file_that_is_missing_in_the_local_copy_is_fetched_anew(
    git_server: GitServer, opened: Open, tmp_path: Path
) -> None:
    sha = git_server.create("owner/name", {"a": "one", "b": "b"})
    source = opened()
    await source._fetched(Ref())
    without_a_file(tmp_path / "git" / "s1", sha)
    index = SyncedCollection()
    with pytest.raises(RetryableError, match="fetched again"):
        await index.sync(source)
    await index.sync(source)
    assert index.contents == {"a": b"one", "b": b"b"}


async def test_a_copy_that_lacks_what_a_fetched_change_builds_on_is_fetched_anew(
    git_server: GitServer, opened: Open, tmp_path: Path
) -> None:
    lines = [f"{number * 7919 % 10007}\n" for number in range(5000)]
    sha = git_server.create("owner/name", {"a": "".join(lines), "b": "b"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    without_a_file(tmp_path / "git" / "s1", sha)
    changed = "".join([*lines, "one more\n"])
    git_server.commit("owner/name", {"a": changed})
    with pytest.raises(RetryableError, match="damaged and will be fetched again"):
        await index.sync(source)
    await index.sync(source)
    assert index.contents["a"] == changed.encode()


async def test_locks_left_by_a_killed_git_do_not_stop_the_next_fetch(
    git_server: GitServer, opened: Open, tmp_path: Path
) -> None:
    git_server.create("owner/name", {"a": "one"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    folder = tmp_path / "git" / "s1"
    for name in ("shallow.lock", "config.lock", "objects/pack/tmp_pack_x"):
        (folder / name).touch()
    git_server.commit("owner/name", {"a": "two"})
    await index.sync(source)
    assert index.contents == {"a": b"two"}
    assert not list(folder.rglob("tmp_*"))


@pytest.mark.parametrize("left", ["HEAD.lock", "config.lock", "refs/heads", "HEAD", "config"])
async def test_a_copy_whose_making_was_cut_off_is_made(
    git_server: GitServer, opened: Open, tmp_path: Path, left: str
) -> None:
    git_server.create("owner/name", {"a": "one"})
    index, source, file = SyncedCollection(), opened(), tmp_path / "git" / "s1" / left
    file.parent.mkdir(parents=True)
    file.touch()
    with suppress(RetryableError):  # once, where what is there is taken for a copy, which then is discarded
        await index.sync(source)
    await index.sync(source)
    assert index.contents == {"a": b"one"}


async def test_many_fetches_are_packed_into_one_and_old_commits_go(
    git_server: GitServer, opened: Open, tmp_path: Path
) -> None:
    git_server.create("owner/name", {"a": "0", "same": "s"})
    index, source = SyncedCollection(), opened()
    copy = tmp_path / "git" / "s1"
    source._copy = Repository(copy, source._copy.git.remote, max_packs=3, kept_commits=2)
    for number in range(8):
        git_server.commit("owner/name", {"a": f"{number}"})
        await index.sync(source)
        assert index.contents == {"a": f"{number}".encode(), "same": b"s"}
    assert len(list(copy.glob("objects/pack/*.pack"))) <= 3
    assert len(list((copy / "refs/syncd").iterdir())) <= 2 + 3


async def test_runs_of_one_source_may_overlap(git_server: GitServer, opened: Open) -> None:
    first = git_server.create("owner/name", {f"f{number}": "one" for number in range(40)})
    second = git_server.commit("owner/name", {"f0": "two"})
    source, indexes = opened(), [SyncedCollection() for _ in range(6)]
    async with anyio.create_task_group() as tasks:
        for number, index in enumerate(indexes):
            tasks.start_soon(index.sync, source, {"ref": {"sha": (first, second)[number % 2]}})
    assert [index.contents["f0"] for index in indexes] == [b"one", b"two"] * 3
    assert len(git_server.requests) <= 4


async def test_old_harmless_faults_of_a_repository_do_not_stop_it(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"d/a": "a"})
    path = git_server.path("owner/name")

    def git(*arguments: str, given: bytes = b"") -> str:
        command = ["git", f"--git-dir={path}", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, input=given, capture_output=True, check=True).stdout.decode().strip()

    below = bytes.fromhex(git("rev-parse", "main:d"))
    tree = git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=b"040000 d\0" + below)
    git("update-ref", "refs/heads/main", git("commit-tree", "-m", "x", tree))
    index = SyncedCollection()
    await index.sync(opened())
    assert index.contents == {"d/a": b"a"}


async def test_ids_of_chunks_tell_repositories_apart_and_metadata_holds_nothing_volatile(
    git_server: GitServer, opened: Open
) -> None:
    git_server.create("owner/name", {"a": "one", "b": "b"})
    index, source = SyncedCollection(), opened()
    await index.sync(source)
    document = index.documents[0]
    assert document.chunk_prefix == chunk_prefix("owner/name/a")
    assert document.metadata == {"repository": "owner/name", "path": "a", "blob_sha": document.version}


@pytest.mark.parametrize(
    "branch",
    [
        "--upload-pack=touch hacked",
        "-x",
        "a..b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "x*",
        "a\nb",
        "a\0b",
        "@{u}",
        "a.lock",
        "/a",
        "a//b",
    ],
)
async def test_a_branch_name_that_git_would_read_as_something_else_is_refused(
    git_server: GitServer, opened: Open, branch: str
) -> None:
    git_server.create("owner/name", {"a": "a"})
    with pytest.raises(PermanentError, match="is not a branch name"):
        await SyncedCollection().sync(opened(), {"ref": {"branch": branch}})
    assert git_server.requests == []


@pytest.mark.parametrize("sha", ["main", "--help", "HEAD", "a" * 6, "a" * 65, "g" * 40, 7])
async def test_a_sha_that_is_none_is_refused(git_server: GitServer, opened: Open, sha: object) -> None:
    with pytest.raises(PermanentError, match="is not a commit id"):
        await SyncedCollection().sync(opened(), {"ref": {"sha": sha}})


async def test_unknown_things_are_named(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"a": "a"})
    git_server.create("owner/empty", {})
    with pytest.raises(NotFoundError, match="owner/name has no branch 'nope'"):
        await SyncedCollection().sync(opened(), {"ref": {"branch": "nope"}})
    with pytest.raises(NotFoundError, match="owner/name has no such commit"):
        await SyncedCollection().sync(opened(), {"ref": {"sha": "0123456789" * 4}})
    with pytest.raises(NotFoundError, match="owner/none does not exist"):
        await SyncedCollection().sync(opened(remote=git_server.remote("owner/none")))
    with pytest.raises(NotFoundError, match="owner/empty has no commits yet"):
        await SyncedCollection().sync(opened(remote=git_server.remote("owner/empty")))


async def test_a_tag_is_taken_by_its_name_and_a_branch_before_it(git_server: GitServer, opened: Open) -> None:
    first = git_server.create("owner/name", {"a": "one"})
    git_server.commit("owner/name", {"a": "two"})
    git_server.point("owner/name", "refs/tags/light", first)
    tag = f"object {first}\ntype commit\ntag heavy\ntagger A <a@example.org> 1700000000 +0000\n\nx"
    git_server.point("owner/name", "refs/tags/heavy", git_server.write("owner/name", "tag", tag.encode()))
    git_server.point("owner/name", "refs/tags/main", first)
    git_server.point("owner/name", "refs/pull/7/head", first)
    source = opened()
    for name in ("light", "heavy", "refs/tags/heavy", "refs/pull/7/head"):
        index = SyncedCollection()
        await index.sync(source, {"ref": {"branch": name}})
        assert index.contents == {"a": b"one"}
    index = SyncedCollection()
    await index.sync(source, {"ref": {"branch": "main"}})
    assert index.contents == {"a": b"two"}


async def test_a_commit_is_found_by_the_beginning_of_its_id_where_the_server_tells_of_it_or_it_was_fetched(
    git_server: GitServer, opened: Open
) -> None:
    first = git_server.create("owner/name", {"a": "one"})
    second = git_server.commit("owner/name", {"a": "two"})
    source = opened()
    with pytest.raises(NotFoundError, match="give all its digits"):
        await SyncedCollection().sync(source, {"ref": {"sha": first[:12]}})
    await SyncedCollection().sync(source, {"ref": {"sha": first}})
    for sha, text in ((second[:7].upper(), b"two"), (first[:12], b"one")):
        index = SyncedCollection()
        await index.sync(source, {"ref": {"sha": sha}})
        assert index.contents == {"a": text}


async def test_a_default_branch_that_does_not_exist_is_told_with_those_that_do(
    git_server: GitServer, opened: Open
) -> None:
    git_server.create("owner/name", {"a": "a"}, branch="trunk")
    git_server.point("owner/name", "HEAD", "ref: refs/heads/main")
    with pytest.raises(NotFoundError, match=r"default branch of owner/name does not exist: name a branch \(trunk\)"):
        await SyncedCollection().sync(opened())


async def test_a_sha_of_something_else_than_a_commit_is_refused(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"a": "a"})
    index = SyncedCollection()
    await index.sync(opened())
    with pytest.raises(NotFoundError, match="not a commit"):
        await SyncedCollection().sync(opened(), {"ref": {"sha": index.versions["a"]}})


async def test_a_renamed_repository_fails_clearly(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/new", {"a": "a"})
    git_server.renamed["owner/name"] = "owner/new"
    with pytest.raises(PermanentError, match="owner/name was renamed or moved"):
        await SyncedCollection().sync(opened())


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_in_trouble_is_asked_again_later(git_server: GitServer, opened: Open, status: int) -> None:
    git_server.create("owner/name", {"a": "a"})
    git_server.failures.append(status)
    with pytest.raises(RetryableError):
        await SyncedCollection().sync(opened())


async def test_a_server_that_is_busy_is_waited_for_as_long_as_it_shows_that_it_lives(tmp_path: Path) -> None:
    server = SlowServer(tmp_path / "server")
    server.held.set()
    with serve(server.answer) as server.url:
        server.create("owner/name", {"a": "a"})
        server.keepalives = 15
        settings = RepositorySettings(server.remote("owner/name"), patience=Patience(stall_timeout_s=1))
        index = SyncedCollection()
        await index.sync(RepositorySource(settings, tmp_path / "git"))
    assert index.contents == {"a": b"a"}


async def test_a_server_that_is_silent_for_too_long_is_asked_again_later(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"a": "a"})
    git_server.held.clear()
    with pytest.raises(RetryableError, match=r"silent for 1 s .* git\.stall_timeout_s"):
        await SyncedCollection().sync(opened(patience=Patience(stall_timeout_s=1)))


async def test_a_server_that_never_comes_to_an_end_is_left_all_the_same(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"a": "a"})
    git_server.held.clear()
    with pytest.raises(RetryableError, match="git\\.fetch_timeout_s allows more"):
        await SyncedCollection().sync(opened(patience=Patience(total_timeout_s=0.5)))


async def test_a_server_that_is_away_is_asked_again_later(opened: Open) -> None:
    with pytest.raises(RetryableError, match="cannot reach the git server"):
        await SyncedCollection().sync(opened(remote=Remote("http://127.0.0.1:9/owner/name.git", "owner/name")))


async def test_a_private_repository_without_an_app_says_what_to_do(git_server: GitServer, opened: Open) -> None:
    git_server.create("owner/name", {"a": "a"})
    git_server.require_token("owner/name", "secret")
    with pytest.raises(PermanentError, match="app_id"):
        await SyncedCollection().sync(opened())

"""What hosts of repositories, and others, say when something changed; and whether that concerns a source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from syncd.json_types import Json, JsonObject, json_object
from syncd.model import SourceRecord

EVENT_HEADERS = ("X-Gitlab-Event", "X-Gitea-Event", "X-Forgejo-Event", "X-Event-Key", "X-GitHub-Event")
"""Say what happened; Gitea and Forgejo send GitHub's too."""
PUSHES = ("push", "create", "delete", "tag push", "system hook")
"""What such a header contains, in lower case, where a branch or tag may have moved."""
URL_FIELDS = (
    "clone_url",
    "html_url",
    "ssh_url",
    "git_url",
    "git_http_url",
    "git_ssh_url",
    "git_http",
    "git_ssh",
    "web_url",
    "url",
)
_SCP_PLACE = re.compile(r"(?:[^@:/]{1,200}@)?([^@:/]{1,255}):(.{1,2000})")
_HEADS = ("refs/heads/", "refs/tags/")


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something changed in a repository, known under these places, or in the source of this name or id.

    `branch`: what moved, None where that is not said; `default_branch`: what sources without a branch follow, if that is said.
    """

    places: frozenset[str] = frozenset()
    source: str = ""
    branch: str | None = None
    default_branch: str | None = None
    is_ping: bool = False

    def concerns(self, source: SourceRecord, repository: str) -> bool:
        """Return whether a source, whose repository has this URL ('': it has none), may have to follow."""
        if self.source in (source.id, source.name):
            return True
        if not repository or repository_place(repository) not in self.places:
            return False
        watched = (source.settings.watch and source.settings.watch.branch) or self.default_branch
        return not (self.branch and watched) or self.branch == _short(watched)


def read_announcement(headers: Mapping[str, str], body: Json) -> Announcement:
    """Return what a message says; of anything but pushes and pings, nothing that concerns a source."""
    event = next((headers[name].lower() for name in EVENT_HEADERS if name in headers), "push")
    said = json_object(body)
    if event in ("ping", "diagnostics:ping"):
        return Announcement(is_ping=True)
    if not any(push in event for push in PUSHES):
        return Announcement()
    repository = said.get("repository")
    about = [json_object(repository), json_object(said.get("project"))]
    branches = [text for one in about if isinstance(text := one.get("default_branch"), str)]
    ref, source = said.get("ref"), said.get("source")
    return Announcement(
        places=frozenset(place for url in _urls(repository, about) if (place := repository_place(url))),
        source=source if isinstance(source, str) else "",
        branch=_short(ref) if isinstance(ref, str) and ref else None,
        default_branch=branches[0] if branches else None,
    )


def _urls(repository: Json, about: list[JsonObject]) -> Iterator[str]:
    if isinstance(repository, str):
        yield repository
    for one in about:
        yield from (url for field in URL_FIELDS if isinstance(url := one.get(field), str))
        # Bitbucket's
        links = json_object(json_object(one.get("links")).get("html"))
        yield from (url for url in links.values() if isinstance(url, str))


def repository_place(url: str) -> str:
    """Return a repository's host and path, alike for all ways to read it; '' where it has none."""
    if "://" not in url:
        scp = _SCP_PLACE.fullmatch(url)
        host, path = scp.groups() if scp else ("", "")
    else:
        try:
            parts = urlsplit(url)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return ""
    path = path.strip("/").removesuffix(".git")
    return f"{host}/{path}".lower() if path else ""


def _short(ref: str) -> str:
    """Return a branch's or tag's own name."""
    return next((ref.removeprefix(kind) for kind in _HEADS if ref.startswith(kind)), ref)

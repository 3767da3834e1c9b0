"""What a run may ask for, and which commit of those that a server tells of that is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from syncd.errors import NotFoundError, PermanentError
from syncd.sources.git.naming import check_branch, check_sha

FULL_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHOWN_BRANCHES = 5


@dataclass(frozen=True, slots=True)
class Ref:
    """What to sync: a branch's (or tag's) latest commit, one commit, or (neither) the default branch's latest commit."""

    branch: str | None = None
    sha: str | None = None
    """A commit's id, or the beginning of one."""

    @classmethod
    def read(cls, value: Mapping[str, object] | None) -> Ref:
        """Read `{"branch": …}`, `{"sha": …}` or None. Raises PermanentError for invalid values."""
        if not value:
            return cls()
        branch, sha = value.get("branch"), value.get("sha")
        if sha is not None:
            return cls(sha=check_sha(str(sha)))
        return cls(branch=check_branch(str(branch or "")).removeprefix("refs/heads/"))

    @property
    def full_sha(self) -> str | None:
        """The commit, if its whole id was given."""
        return self.sha if self.sha and FULL_SHA.fullmatch(self.sha) else None

    @property
    def names(self) -> tuple[str, ...]:
        """What to ask the server for, the best first; nothing: for everything. A tag's commit is before the tag itself."""
        if self.sha:
            return ()
        if not self.branch:
            return ("HEAD",)
        tag = self.branch if self.branch.startswith("refs/") else f"refs/tags/{self.branch}"
        return (f"refs/heads/{self.branch}", f"{tag}^{{}}", tag)

    def commit_in(self, told: Mapping[str, str], repository: str) -> str | None:
        """Return the commit, by the refs that the server told of; None if none of them is it.

        Raises PermanentError if several commits have ids that begin so.
        """
        if not self.sha:
            return next((told[name] for name in self.names if name in told), None)
        commits = {sha for name, sha in told.items() if f"{name}^{{}}" not in told}
        found = sorted(sha for sha in commits if sha.startswith(self.sha))
        if len(found) > 1:
            raise PermanentError(
                f"{repository} has several commits {self.sha}…: {', '.join(found[:3])}; give more digits"
            )
        return found[0] if found else None


def missing(ref: Ref, told: Mapping[str, str], repository: str) -> NotFoundError:
    """Return the error for a ref that is not among all those that the server tells of."""
    if ref.sha:
        return NotFoundError(
            f"{repository} has no branch or tag at a commit {ref.sha}…, and servers tell of no others by a part of their id: "
            "give all its digits"
        )
    if ref.branch:
        return NotFoundError(f"{repository} has no branch {ref.branch!r} and no such tag: check the name")
    branches = [name.removeprefix("refs/heads/") for name in sorted(told) if name.startswith("refs/heads/")]
    if not branches:
        return NotFoundError(f"{repository} has no commits yet: push some, then sync again")
    listed = ", ".join(branches[:SHOWN_BRANCHES]) + (", …" if len(branches) > SHOWN_BRANCHES else "")
    return NotFoundError(
        f"the default branch of {repository} does not exist: name a branch ({listed}), or set its HEAD"
    )

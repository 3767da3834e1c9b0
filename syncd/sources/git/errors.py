"""Translates git's error messages into errors of ours."""

from __future__ import annotations

import re
from collections.abc import Callable

from syncd.errors import NotFoundError, PermanentError, RetryableError, SyncdError


class Damaged(RetryableError):
    """The local copy is damaged (power loss, full disk) and must be discarded and fetched again."""


class Unauthorized(PermanentError):
    """The server rejected the credentials, or wants some."""


_Rule = tuple[re.Pattern[str], type[SyncdError], str]
_RULES: tuple[_Rule, ...] = (
    (
        re.compile(r"error: 30[12378]\b|update url base from redirection"),
        PermanentError,
        "{repository} was renamed or moved: create a source with its new name",
    ),
    (
        re.compile(r"could not read (Username|Password)|Authentication failed|error: 401\b|error: 403\b"),
        Unauthorized,
        "{repository} is private, does not exist, or refused the credentials: check the name; "
        "a private repository needs a token, and on GitHub `app_id` of a GitHub App that is installed on it",
    ),
    (
        re.compile(r"repository '[^'\n]*' not found|error: 404\b"),
        NotFoundError,
        "{repository} does not exist, or may not be read: check the name, and on GitHub the installation of the App",
    ),
    (
        re.compile(r"not our ref|[Cc]ouldn't find remote ref|no such remote ref"),
        NotFoundError,
        "{repository} has no such commit: check the sha, or name a branch",
    ),
    (
        re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION|No \S+ host key is known"),
        PermanentError,
        "the server's SSH key is not in git.known_hosts_file: add it there once you have compared it ({line})",
    ),
    (
        re.compile(r"Permission denied \(|Load key |UNPROTECTED PRIVATE KEY|cannot run ssh"),
        Unauthorized,
        "the server of {repository} does not accept ssh_key_file, or it cannot be used ({line})",
    ),
    (
        re.compile(r"detected dubious ownership"),
        PermanentError,
        "{repository} belongs to another user than the daemon's: make it a copy of its own, or serve it over HTTP or SSH",
    ),
    (
        re.compile(
            r"does not appear to be a git repository|No such file or directory|project you were looking for could not"
        ),
        NotFoundError,
        "{repository} does not exist, or may not be read: check the URL ({line})",
    ),
    (
        re.compile(r"SSL certificate|certificate verif|SSL: no alternative"),
        PermanentError,
        "the server's TLS certificate is not trusted: set SSL_CERT_FILE to its authority's certificate ({line})",
    ),
    (
        re.compile(r"No space left on device|Disk quota exceeded"),
        RetryableError,
        "the disk is full: free some space ({line})",
    ),
    (
        re.compile(
            r"error: 429\b|error: 5\d\d\b|Could not resolve|Failed to connect|Connection (refused|reset|timed out|closed)|No route to host|Network is unreachable"
            r"|[Tt]imed? ?out|early EOF|RPC failed|hung up|unexpected disconnect|Empty reply"
            r"|unable to access|Recv failure|transfer closed|expected '?(flush|packfile|acknowledg)|bad line length"
        ),
        RetryableError,
        "cannot reach the git server for {repository} ({line})",
    ),
    (
        re.compile(r"\.lock'?: File exists"),
        RetryableError,
        "another git is at work in the copy of {repository}, or was stopped there ({line})",
    ),
    (
        re.compile(r"died of signal (9|15)\b|[Oo]ut of memory|[Cc]annot allocate memory"),
        RetryableError,
        "git was ended while it worked on {repository}: is there enough memory? ({line})",
    ),
    (
        re.compile(r"corruption on the remote side"),
        RetryableError,
        "the git server cannot read its own copy of {repository} ({line})",
    ),
    (
        re.compile(
            r"[Nn]ot a git repository|bad (boolean |numeric )?config|bad shallow|repo(sitory)? (format )?version|unknown repository extension"
            r"|packed-refs|\.(pack|idx)\b|inflate: |invalid sha1 pointer|object file .{0,1000} is empty|bad object|corrupt|unable to read"
            r"|missing (blob|tree|commit)|unable to find|could not (read|parse)|not a (valid|tree) object|did not send all necessary"
            # What came builds on objects that the copy says it has.
            r"|invalid index-pack output|index-pack failed|unresolved deltas?\b|unpack-objects failed"
        ),
        Damaged,
        "the local copy of {repository} is damaged and will be fetched again ({line})",
    ),
)


_EMPTY_WORDS = re.compile(r"fatal: Could not read from remote|Please make sure you have|and the repository exists")
"""What git adds to whatever ssh said."""


def translate(complaint: str, repository: str, command: str, copy: str) -> SyncdError:
    """Return the error for a failed `git command`, with a one-line message that says what to do next.

    A complaint that names a file in the folder `copy`, and does not pass, is taken for damage: only git writes there.
    """
    line, is_about_copy = _last_line(complaint) or "no message", f"{copy}/" in complaint
    for pattern, kind, message in _RULES:
        if pattern.search(complaint) and not (is_about_copy and issubclass(kind, PermanentError)):
            make: Callable[[str], SyncdError] = kind
            return make(message.format(repository=repository, line=line))
    if is_about_copy:
        return Damaged(f"the local copy of {repository} seems damaged and will be fetched again ({line})")
    return PermanentError(f"git {command} failed for {repository}: {line}")


def _last_line(complaint: str) -> str:
    """Return the most informative line: the server's own `fatal:`, the last `fatal:` or `error:`, or else the last one."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip() and not _EMPTY_WORDS.match(line)]
    telling = [line for line in lines if line.startswith("remote: fatal:")] or [
        line for line in lines if line.startswith(("fatal:", "error:", "remote:"))
    ]
    line = (telling or lines or [""])[-1]
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return printable.removeprefix("fatal: ").removeprefix("error: ")[:300]

import pytest

from syncd.errors import PermanentError
from syncd.sources.git.urls import check_url, check_web_url, scheme_of

WEB = [
    "https://gitlab.example.com/group/sub/name.git",
    "https://dev.azure.com/acme/My%20Project/_git/name",
    "https://bitbucket.org/acme/name.git",
    "http://127.0.0.1:3000/owner/name",
    "https://[2001:db8::1]:8443/name.git",
]
OTHERS = [
    "ssh://git@host.example.com:2222/~/name.git",
    "git@github.com:owner/name.git",
    "host:/srv/git/name.git",
    "file:///srv/git/name.git",
]


@pytest.mark.parametrize("url", [*WEB, *OTHERS])
def test_a_url_of_a_repository_is_taken_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize("url", OTHERS)
def test_through_the_api_only_http_is_taken(url: str) -> None:
    assert scheme_of(url) in ("ssh", "file")
    with pytest.raises(PermanentError, match="only https"):
        check_web_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "name",
        "/srv/git/name.git",
        "--upload-pack=touch hacked",
        "ext::sh -c touch% hacked",
        "ext::sh",
        "git://host/name",
        "ftp://host/name",
        "https://",
        "https:///name",
        "https://host",
        "https://host/",
        "https://host:99999/name",
        "https://host/name?x=1",
        "https://host/name#x",
        "https://user@host/name",
        "https://user:secret@host/name",
        "https://-oProxyCommand=x/name",
        "ssh://-oProxyCommand=x/name",
        "ssh://-o@host/name",
        "ssh://user:secret@host/name",
        "-oProxyCommand=x:name",
        "-o@host:name",
        "host:-name",
        "host::name",
        "host:na me",
        "https://host/na\nme",
        "https://host/na\\me",
        "https://host/\x7f",
        "https://ho$t/name",
        "file://host/name",
        "https://host/" + "x" * 2000,
    ],
)
def test_what_git_or_ssh_could_take_for_something_else_is_refused(url: str) -> None:
    with pytest.raises(PermanentError):
        check_url(url)

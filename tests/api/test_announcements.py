import pytest

from syncd.api.announcements import read_announcement, repository_place


@pytest.mark.parametrize(
    "url",
    [
        "https://Git.example.com/Acme/tools.git",
        "https://git.example.com/acme/tools/",
        "https://user:pass@git.example.com:8443/acme/tools",
        "ssh://git@git.example.com:2222/acme/tools.git",
        "git@git.example.com:acme/tools.git",
        "git://git.example.com/acme/tools",
    ],
)
def test_a_repository_has_one_place_however_it_is_read(url):
    assert repository_place(url) == "git.example.com/acme/tools"


@pytest.mark.parametrize("url", ["", "acme/tools", "https://", "https://a/", "http://[::1", "a:", "x" * 5000])
def test_what_is_no_url_has_no_place(url):
    assert repository_place(url) == ""


@pytest.mark.parametrize(
    "body", [None, 7, [], {}, {"repository": [1]}, {"repository": {"clone_url": {}}, "ref": 1, "project": ""}]
)
def test_a_message_of_any_shape_is_read(body):
    announcement = read_announcement({"X-GitHub-Event": "push"}, body)
    assert (announcement.places, announcement.source, announcement.branch) == (frozenset(), "", None)

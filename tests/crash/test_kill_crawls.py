"""SIGKILL at random moments of several crawls, and the collections still equal those of crawls nobody disturbed."""

import random

import pytest

from tests.crash.journal import Journal, Moment
from tests.crash.killing import collection_of
from tests.crash.killing_crawls import crawling
from tests.crash.site import SiteFactory
from tests.serving import serve

SITES = 3
DEATHS = {1: 3, 2: 2}
"""In the first crawls of the sites, and in those after their pages changed."""


@pytest.fixture(scope="module")
def sites():
    sites = SiteFactory(SITES)
    with serve(sites.answer) as url:
        yield sites, url


@pytest.fixture(scope="module")
def chroma(chroma_server):
    return f'mode = "server"\nhost = "{chroma_server.host}"\nport = {chroma_server.port}'


@pytest.fixture(scope="module")
def undisturbed(sites, chroma, minilm_folder, tmp_path_factory):
    calm = crawling(tmp_path_factory.mktemp("calm"), "calm-crawls", *sites, minilm_folder, chroma)
    held = {edition: calm.crawl(edition) for edition in DEATHS}
    assert all(len(one.rows) > 20 for both in held.values() for one in both)
    assert all(one.rows != other.rows for one, other in zip(held[1], held[2], strict=True))
    return held


@pytest.mark.parametrize("seed", range(1))
def test_killed_crawls_end_in_the_same_collections(
    seed, sites, chroma, undisturbed, minilm_folder, tmp_path, fresh_name
):
    rng = random.Random(seed)
    killed = crawling(tmp_path, fresh_name, *sites, minilm_folder, chroma)
    for edition, deaths in DEATHS.items():
        for one, other in zip(killed.crawl(edition, deaths, rng), undisturbed[edition], strict=True):
            one.assert_equals(other)
    assert killed.asked_again == []
    assert killed.deaths_of_crawls >= sum(DEATHS.values())


@pytest.mark.parametrize("moment", [Moment.PREPARED, Moment.EMBEDDING, Moment.WRITTEN])
def test_pages_that_were_prepared_at_a_death_are_not_asked_for_again(
    moment, sites, chroma, undisturbed, minilm_folder, tmp_path, fresh_name
):
    sites[0].edition = 1
    killed, journal = crawling(tmp_path, fresh_name, *sites, minilm_folder, chroma), Journal(tmp_path / "journal")
    assert killed.die_at(moment, {Moment.PREPARED: 10, Moment.EMBEDDING: 6}.get(moment, 1), journal) == []
    journal.assert_nothing_twice()
    for name, calm in zip(killed.collections, undisturbed[1], strict=True):
        collection_of(killed.daemon, name).assert_equals(calm)
    assert killed.daemon.stop() == 0

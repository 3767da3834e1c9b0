"""The daemon's processes are killed or stopped from outside, for as long as it takes: nothing is given up or read otherwise."""

import os
import re
import signal

import pytest

from tests.app.test_daemon import configuration, request, until
from tests.daemon import Daemon
from tests.faults.processes import MODEL, PREPARER, children, health, indexed, killing, signalled, watching, write

KILLS = 8
"""More than one text, or one document, would have to die of to be blamed, however they were shared out."""


STAGES = "SELECT DISTINCT json_extract(metadata, '$.stage') FROM chunks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def daemon(minilm_folder, tmp_path_factory, folder):
    more = f"[search]\nlimit_s = 1.0\n[documents]\nstep_limit_s = 5.0\n{watching(folder)}"
    running = Daemon(tmp_path_factory.mktemp("daemon"), configuration(minilm_folder, more)).start()
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("when", ["starts", "runs"])
def test_while_the_model_is_killed_all_the_time_texts_wait_and_health_says_why(daemon, folder, when):
    until(lambda: not daemon.unsettled() and not health(daemon))
    with killing(daemon, MODEL) as kills:
        keys = write(folder, when, 6)
        assert re.search("cannot be run|does not start|dies whatever", until(lambda: health(daemon)))
        until(lambda: len(kills) > KILLS)
        assert not daemon.rows("SELECT key FROM documents WHERE state = 'failed'")
    until(lambda: keys <= indexed(daemon))
    until(lambda: not health(daemon))


def test_code_whose_chunker_is_killed_all_the_time_is_cut_by_its_syntax_when_that_ends(daemon, folder):
    with killing(daemon, PREPARER) as kills:
        keys = write(folder, "parser", 6)
        until(lambda: len(kills) > KILLS)
    until(lambda: keys <= indexed(daemon))
    assert daemon.rows(STAGES) == [("code",)]


def search(daemon):
    body = {"collection_name": "code", "database_name": "default_database", "query": "function_3", "mode": "hybrid"}
    return request(daemon, "POST", "/api/v1/search", body)


@pytest.mark.parametrize("is_continued", [True, False])
def test_while_the_chunker_is_stopped_a_search_answers_and_documents_go_on_later_or_in_another(
    daemon, folder, is_continued
):
    write(folder, "before", 6)
    until(lambda: "before_3.py" in indexed(daemon) and not daemon.unsettled())
    (stopped,) = children(daemon, PREPARER)
    assert signalled(daemon, PREPARER, signal.SIGSTOP) == 1
    keys = write(folder, f"stopped_{is_continued}", 6)
    until(daemon.unsettled)
    assert "function_3" in search(daemon)["hits"][0]["text"]
    assert not keys & indexed(daemon)
    if is_continued:
        os.kill(stopped, signal.SIGCONT)
    until(lambda: keys <= indexed(daemon))
    assert (stopped in children(daemon, PREPARER)) is is_continued
    assert daemon.rows(STAGES) == [("code",)]


def test_while_the_model_hangs_words_answer_a_search_and_it_says_so(daemon, folder):
    write(folder, "hangs", 6)
    until(lambda: "hangs_3.py" in indexed(daemon) and search(daemon)["notices"] == [])
    assert signalled(daemon, MODEL, signal.SIGSTOP) == 1
    try:
        found = search(daemon)
    finally:
        signalled(daemon, MODEL, signal.SIGCONT)
    assert "function_3" in found["hits"][0]["text"]
    assert "by words alone" in found["notices"][0]
    until(lambda: search(daemon)["notices"] == [])

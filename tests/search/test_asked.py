import pytest

from syncd.search.asked import asked, plain_name, query_kind, terms_in


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("JsonReader", "symbol"),
        ("store.get_or_create()", "symbol"),
        ("std::vector", "symbol"),
        ("router", "symbol"),
        ("lib/phoenix/router.ex", "path"),
        ("setup.py:12", "path"),
        ("TypeError: 'NoneType' object is not iterable", "error"),
        ("panic: runtime error: index out of range", "error"),
        ("how errors are converted to responses", "words"),
        ("request and/or response", "words"),
    ],
)
def test_a_query_is_told_by_its_looks(query, kind):
    assert query_kind(query) == kind


def test_all_spellings_of_a_name_are_one():
    assert {plain_name(name) for name in ("Store.getOrCreate()", "get_or_create", "store->getOrCreate")} == {
        "getorcreate"
    }


def test_a_type_is_not_the_function_of_its_name():
    assert plain_name("http::FromRequest") == plain_name("FROM_REQUEST") != plain_name("from_request")


def test_names_in_a_sentence_are_those_that_look_made():
    assert asked("how ClientSession releases a connection of tcp_connector").names == ["Clientsession", "tcpconnector"]
    assert asked("connection pooling").names == []


def test_words_are_stems_of_identifiers_parts_and_stop_words_count_alone():
    assert terms_in("how the ClientSession acquires connections") == ["client", "session", "acquir", "connect"]
    assert terms_in("to be or not to be") == ["to", "be", "or", "not", "to", "be"]

import pytest

from syncd.search.fuse import Ranked
from syncd.search.order import UNASKED
from syncd.search.rules import DEPTH, NO_RULES, Rules, by_rules
from syncd.store.chunks import FoundChunk


def chunk(number, key, text="text", **metadata):
    return FoundChunk(str(number), text, {"key": key, **metadata}, hash(key), "written", None, None)


def order(query, chunks, rules):
    """Return the keys of chunks ranked as they stand here, in the order of the rules."""
    found = {str(n): chunk(n, *one[:2], **(one[2] if len(one) > 2 else {})) for n, one in enumerate(chunks)}
    ranked = [Ranked(i, 1 / (n + 1)) for n, i in enumerate(found)]
    return [found[hit.id].metadata["key"] for hit in by_rules(ranked, found, query, rules)]


def only(*names):
    return Rules.only(names)


CASES = [
    ("definition", "JsonReader", [("use.java", "new JsonReader(in)"), ("a.java", "public class JsonReader {")]),
    ("definition", "Execute", [("use.go", "c.Execute()"), ("a.go", "func (c *Command) Execute() error {")]),
    ("definition", "FromRequest", [("use.rs", "async fn from_request("), ("a.rs", "pub trait FromRequest {")]),
    ("definition", "getorcreate", [("use.go", "c.GetOrCreate()"), ("a.go", "func GetOrCreate() {")]),
    ("definition", "getOrCreate", [("use.py", "get_or_create()"), ("a.py", "x", {"symbol": "get_or_create"})]),
    ("path", "URL routing and dispatching", [("web.py", "a"), ("web_urldispatcher.py", "b")]),
    ("path", "reading the configuration", [("web.py", "a"), ("config.py", "b")]),
    ("symbol", "how requests are retried", [("a.py", "x"), ("b.py", "y", {"symbol": "retry_request"})]),
    ("coverage", "retry an upload", [("a.py", "uploaded, uploads"), ("b.py", "upload; retries")]),
    ("coherence", "words", [("a.py", "1"), ("b.py", "2"), ("b.py", "3"), ("b.py", "4")]),
    ("repeats", "words", [("a.py", "1"), ("a.py", "2"), ("a.py", "3"), ("b.py", "4")]),
    ("tests", "parsing", [("tests/a.py", "1"), ("b.py", "2")]),
    ("vendored", "parsing", [("vendor/a.go", "1"), ("b.go", "2")]),
    ("generated", "parsing", [("a.pb.go", "1"), ("b.go", "2")]),
    ("legacy", "parsing", [("legacy/a.ts", "1"), ("b.ts", "2")]),
    ("legacy", "parsing", [("src/v3/a.ts", "1"), ("src/v4/a.ts", "2")]),
    ("docs", "parsing", [("docs/a.md", "1"), ("b.py", "2")]),
    ("config", "parsing", [("a.yaml", "1"), ("b.py", "2")]),
]


@pytest.mark.parametrize(("rule", "query", "chunks"), CASES)
def test_each_rule_alone_moves_what_it_is_for(rule, query, chunks):
    keys = [one[0] for one in chunks]
    assert order(query, chunks, NO_RULES) == keys
    moved = order(query, chunks, only(rule))
    assert moved.index(keys[-1]) < keys.index(keys[-1])


def test_a_definition_is_before_twenty_uses_of_a_symbol_in_what_has_its_words_in_its_name():
    uses = [(f"use{n}.py", f"json_reader() # {n}", {"symbol": "use_json_reader"}) for n in range(20)]
    assert (
        order("json_reader", [*uses, ("a.py", "def json_reader():", {"symbol": "json_reader"})], Rules())[0] == "a.py"
    )


def test_a_hit_by_words_far_ahead_of_the_others_stays_ahead():
    found = {"0": chunk(0, "a.py"), "1": chunk(1, "b.py", symbol="retry")}
    for second, first in ((0.1, "0"), (0.9, "1")):
        ranked = [Ranked("0", 9.0), Ranked("1", 9.0 * second)]
        assert by_rules(ranked, found, "how retries work", only("symbol"), by_words=True)[0].id == first
        assert by_rules(ranked, found, "how retries work", only("symbol"))[0].id == "1"


def test_documentation_with_all_of_the_querys_words_stays_where_no_rule_is_named():
    chunks = [("docs/some.md", "retry"), ("docs/all.md", "retry the upload"), ("a.py", "retry()")]
    assert order("retry the upload", chunks, UNASKED) == ["docs/all.md", "a.py", "docs/some.md"]
    assert order("retry the upload", chunks, only("docs"))[0] == "a.py"


def test_documentation_stays_where_nothing_has_a_word_of_the_query_and_no_rule_is_named():
    chunks = [("docs/walrus.md", "whistling under water"), ("a.py", "def add(): ...")]
    assert order("sounds of animals", chunks, UNASKED) == ["docs/walrus.md", "a.py"]


@pytest.mark.parametrize(
    ("query", "path"),
    [("tests of parsing", "tests/a.py"), ("documentation of parsing", "docs/a.md"), ("legacy parser", "legacy/a.ts")],
)
def test_what_the_query_asks_for_is_not_moved_down(query, path):
    chunks = [(path, "1"), ("b.py", "2")]
    assert order(query, chunks, only("tests", "docs", "legacy")) == [path, "b.py"]


def test_a_path_is_looked_for_wherever_it_is():
    assert order("tests/a.py", [("tests/a.py", "1"), ("b.py", "2")], only("tests"))[0] == "tests/a.py"


def test_copies_are_folded_into_the_first():
    found = {"0": chunk(0, "a.py", "same"), "1": chunk(1, "b.py", "other"), "2": chunk(2, "c.py", " same\n")}
    hits = by_rules([Ranked(i, 1.0) for i in found], found, "x", only("duplicates"))
    assert [(hit.id, hit.also) for hit in hits] == [("0", ("2",)), ("1", ())]


def test_hits_beyond_the_depth_and_hits_without_content_stay_hits():
    ranked = [Ranked(str(n), 1 / (n + 1)) for n in range(DEPTH + 5)]
    assert [hit.id for hit in by_rules(ranked, {}, "x", Rules())] == [hit.id for hit in ranked]

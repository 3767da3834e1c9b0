from syncd.search import SearchHit
from syncd.search.budget import HEAD_TOKENS, within_budget
from syncd.search.passages import token_estimate


def hit(number, lines=10):
    text = "".join(f"line {n} of it\n" for n in range(lines))
    metadata = {"key": "a", "start_line": 5, "end_line": 4 + lines}
    return SearchHit(id=f"a-{number}", score=1.0, text=text, metadata=metadata)


def tokens_of(one):
    return HEAD_TOKENS + token_estimate("a ") + token_estimate(one.text)


def test_the_best_hits_that_fit_are_kept_and_the_last_one_is_cut_at_the_end_of_a_line():
    hits = [hit(n) for n in range(4)]
    whole = tokens_of(hits[0])
    assert within_budget(hits, 4 * whole) == hits
    kept = within_budget(hits, 3 * whole - token_estimate(hits[2].text) // 2)
    assert kept[:2] == hits[:2]
    (cut,) = kept[2:]
    assert (cut.cut, hits[2].text.startswith(cut.text), cut.text.endswith(" of it\n")) == (True, True, True)
    assert cut.lines == (5, 4 + cut.text.count("\n"))
    assert sum(map(tokens_of, kept)) <= 3 * whole


def test_a_hit_of_which_no_line_fits_is_left_out_unless_it_is_the_first():
    long_line = SearchHit(id="b-0", score=1.0, text="word " * 500, metadata={"key": "b"})
    whole = tokens_of(hit(0))
    assert within_budget([hit(0), long_line], whole + 100) == [hit(0)]
    (alone,) = within_budget([long_line], 100)
    assert alone.cut
    assert 50 < tokens_of(alone) <= 100
    (least,) = within_budget([long_line], 1)
    assert least.text

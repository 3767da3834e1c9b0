import math

import pytest

from syncd.search.judged import JudgedQuestion, TextPlace
from syncd.search.metrics import Judgement, judgement, ndcg, quality, read_ndcg, recall, reciprocal_rank


def test_figures_are_those_of_the_literature():
    first, third, none = Judgement([1], 1), Judgement([3], 1), Judgement([], 1)
    assert [ndcg(one) for one in (first, third, none)] == [1.0, 0.5, 0.0]
    assert [reciprocal_rank(one) for one in (first, third, none)] == [1.0, 1 / 3, 0.0]
    assert [recall(third, depth) for depth in (1, 2, 3)] == [0.0, 0.0, 1.0]
    two = Judgement([2, 11], 2)
    assert recall(two, 10) == 0.5
    assert ndcg(two) == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert ndcg(Judgement(range(1, 13), 12)) == pytest.approx(1.0)
    means = quality([first, third, none])
    assert (means.recall_at_1, means.recall_at_5, means.ndcg_at_10) == (1 / 3, 2 / 3, 0.5)
    assert means.mrr == pytest.approx(4 / 9)


def test_the_rank_of_an_answer_is_that_of_the_first_hit_in_it():
    hits = [TextPlace("a", 1, 9), TextPlace("b", 1, 5), TextPlace("b", 6, 9), TextPlace("a", 10, 12)]
    assert judgement(JudgedQuestion("", [TextPlace("b"), TextPlace("c")]), hits) == Judgement([2], 2)
    assert judgement(JudgedQuestion("", [TextPlace("b", 6, 7), TextPlace("a", 12)]), hits) == Judgement([3, 4], 2)
    assert judgement(JudgedQuestion("", [TextPlace("b")], made_from=frozenset("a")), hits) == Judgement([1], 1)


def test_what_is_read_counts_instead_of_ranks():
    question = JudgedQuestion("", [TextPlace("b", 6, 7)], made_from=frozenset("m"))
    alike = [(TextPlace("a"), 400), (TextPlace("a"), 400), (TextPlace("b", 1, 9), 400)]
    assert read_ndcg(question, alike) == ndcg(judgement(question, [place for place, _ in alike]))
    small = [(TextPlace("m"), 9000), *[(TextPlace("a"), 100)] * 8, (TextPlace("b", 7, 7), 100)]
    assert read_ndcg(question, small) == read_ndcg(question, alike)
    assert read_ndcg(question, [(TextPlace("a"), 4000), (TextPlace("b"), 10)]) == 0.0
    assert (
        read_ndcg(JudgedQuestion("", [TextPlace("a"), TextPlace("b")]), [(TextPlace("a"), 5), (TextPlace("b"), 5)])
        > 0.99
    )

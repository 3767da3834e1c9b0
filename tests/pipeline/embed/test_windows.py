import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.pipeline.embed.windows import SpecialTokens, batches_by_length, cut, join, merge, split, unit_rows

FRAME = SpecialTokens(before=(101,), after=(102,))
texts = st.lists(st.integers(0, 30_000), max_size=300).map(lambda tokens: np.array(tokens, dtype=np.int32))


@given(texts, st.integers(3, 60))
def test_windows_hold_every_token_once_in_order_each_in_its_frame(tokens, max_tokens):
    windows = cut(tokens, FRAME, max_tokens)
    assert all(len(window) <= max_tokens and window[0] == 101 and window[-1] == 102 for window in windows)
    assert np.array_equal(np.concatenate([window[1:-1] for window in windows]), tokens)


@given(texts, st.integers(3, 60))
def test_no_window_is_empty_but_an_empty_texts_own(tokens, max_tokens):
    windows = cut(tokens, FRAME, max_tokens)
    assert len(windows) == 1 or all(len(window) > 2 for window in windows)


def test_a_limit_that_the_frame_fills_is_refused():
    with pytest.raises(ValueError, match="no room"):
        cut(np.array([1], dtype=np.int32), FRAME, 2)


@given(st.lists(st.integers(1, 500), max_size=60), st.integers(1, 600), st.integers(1, 9))
def test_batches_hold_every_window_once_within_both_limits(lengths, max_tokens, max_sequences):
    found = list(batches_by_length(lengths, max_tokens, max_sequences))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) <= max_sequences
        assert len(batch) == 1 or sum(lengths[index] for index in batch) <= max_tokens


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60))
def test_batches_keep_similar_lengths_together(lengths):
    order = [lengths[index] for batch in batches_by_length(lengths, 600, 9) for index in batch]
    assert order == sorted(lengths, reverse=True)


@given(st.lists(texts.filter(len), min_size=1, max_size=9))
def test_windows_survive_the_pipe(windows):
    found = split(join(windows), [len(window) for window in windows])
    assert [window.tolist() for window in found] == [window.tolist() for window in windows]


def test_one_windows_vector_is_the_texts():
    row = np.array([[0.6, 0.8]], dtype=np.float32)
    assert np.array_equal(merge(row, [7]), row[0])


def test_longer_windows_count_for_more():
    rows = np.array([[1, 0], [0, 1]], dtype=np.float32)
    merged = merge(rows, [300, 100])
    assert np.allclose(merged, np.array([3, 1]) / np.sqrt(10))


def test_rows_become_unit_vectors_and_bad_ones_nan():
    rows = np.array([[3, 4], [0, 0], [np.inf, 1], [np.nan, 1]], dtype=np.float32)
    found = unit_rows(rows)
    assert np.allclose(found[0], [0.6, 0.8])
    assert np.isnan(found[1:]).all()

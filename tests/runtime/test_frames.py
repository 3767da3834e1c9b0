import asyncio
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.runtime import frames
from syncd.runtime.frames import Frame, FrameError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)
FRAMES = st.lists(st.builds(Frame, st.dictionaries(st.text(), JSON, max_size=4), st.binary(max_size=200)), max_size=5)


async def received(data):
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    result = []
    while (frame := await frames.receive(stream)) is not None:
        result.append(frame)
    return result


def written(sent):
    file = io.BytesIO()
    for frame in sent:
        frames.write(file, frame)
    return file.getvalue()


@given(FRAMES)
def test_what_is_written_is_read_back_by_both_ends(sent):
    data = written(sent)
    file = io.BytesIO(data)
    assert [frames.read_frame(file) for _ in sent] == sent
    assert frames.read_frame(file) is None
    assert asyncio.run(received(data)) == sent


@given(st.binary(max_size=50), st.data())
def test_a_stream_that_ends_inside_a_frame_is_an_error_at_both_ends(payload, data):
    whole = written([Frame({"a": 1}, payload)])
    part = whole[: data.draw(st.integers(1, len(whole) - 1))]
    with pytest.raises(FrameError):
        frames.read_frame(io.BytesIO(part))
    with pytest.raises(FrameError):
        asyncio.run(received(part))


@given(st.binary(min_size=8, max_size=60))
def test_garbage_is_an_error_and_never_a_huge_allocation(data):
    try:
        frames.read_frame(io.BytesIO(data))
    except FrameError:
        return


@pytest.mark.parametrize("header", [b"[1]", b"{", b"\xff\xfe"])
def test_a_header_that_is_no_json_object_is_an_error(header):
    data = len(header).to_bytes(4, "big") + bytes(4) + header
    with pytest.raises(FrameError, match="JSON"):
        frames.read_frame(io.BytesIO(data))


def test_a_frame_over_the_limit_is_refused_by_the_writer():
    with pytest.raises(FrameError, match="over the limit"):
        frames.write(io.BytesIO(), Frame({"a": "x" * frames.MAX_HEADER_BYTES}))

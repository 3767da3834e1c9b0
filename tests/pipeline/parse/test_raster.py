"""Pictures as people see them, whatever their file says of corners, colours and depth."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from syncd.pipeline.parse.raster import as_seen
from tests.pipeline.parse.documents import written

_WORDS = written(["Night watch", "Harbour gate"], (640, 300))


def saved(picture: Image.Image, kind: str = "PNG", **settings: object) -> Image.Image:
    out = io.BytesIO()
    picture.save(out, kind, **settings)
    return Image.open(io.BytesIO(out.getvalue()))


def assert_same(picture: Image.Image, tolerance: float = 3.0) -> None:
    assert (picture.mode, picture.size) == ("RGB", _WORDS.size)
    assert np.abs(np.asarray(picture, np.int16) - np.asarray(_WORDS, np.int16)).mean() < tolerance


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
    ],
)
def test_a_photo_is_turned_as_its_camera_says(orientation: int, turn: Image.Transpose) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_same(as_seen(saved(_WORDS.transpose(turn), "JPEG", exif=exif, quality=95)))


def test_what_is_transparent_is_on_white() -> None:
    ink = Image.eval(_WORDS.convert("L"), lambda value: 255 - value)
    clear = Image.new("RGBA", _WORDS.size, (0, 0, 0, 0))
    clear.putalpha(ink)
    assert_same(as_seen(saved(clear)))
    grey = Image.merge("LA", (Image.new("L", _WORDS.size, 0), ink))
    assert_same(as_seen(saved(grey)))
    few = clear.quantize(16, method=Image.Quantize.FASTOCTREE)
    assert_same(as_seen(saved(few)), tolerance=8)


@pytest.mark.parametrize("scale", [257, 16])
def test_more_than_eight_bits_are_not_cut_off(scale: int) -> None:
    deep = Image.fromarray(np.asarray(_WORDS.convert("L")).astype(np.uint16) * scale)
    assert_same(as_seen(saved(deep)))
    assert_same(as_seen(saved(Image.fromarray(np.asarray(_WORDS.convert("L")).astype(np.float32) / 255), "TIFF")))


def test_a_picture_of_one_grey_is_no_reason_to_fail() -> None:
    assert as_seen(Image.new("I;16", (10, 10), 0)).size == (10, 10)

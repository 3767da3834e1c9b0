"""Pictures: their words (alt text, what can be read in them) inside documents, and picture files as documents."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm, ocr
from syncd.pipeline.parse.raster import as_seen
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_MAX_PICTURES = 500
_PICTURES_PER_PART = 8
_MAX_MOMENTS = 50
"""Of an animation: as many as a reader may care for."""
_MAX_DESCRIBED_SIDE = 1024
_GENERIC_ALT = ("image", "picture", "grafik", "bild", "photo", "logo", "graphic")
_FILE_NAME = re.compile(r"\.(png|jpe?g|gif|bmp|tiff?|webp|[ew]mf|svg)\s*$", re.I)
_UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError)
Image.MAX_IMAGE_PIXELS = None  # every size is checked here before a pixel is unpacked, in words for the owner


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the text seen in a picture file, one page mark a frame. Raises PermanentError: damaged, too large, no text."""
    out = Markdown(task.limits)
    try:
        with warnings.catch_warnings(), Image.open(task.path) as picture:
            warnings.simplefilter("ignore")
            for frame in _frames(picture, task):
                picture.seek(frame)
                _check_size(picture, task)
                out.page(frame + 1)
                page = as_seen(picture)
                if task.pictures:
                    out.picture(_small(page))
                out.blocks(ocr.page_blocks(page, task))
                yield out.take()
    except _UNREADABLE as error:
        raise PermanentError(f"{task.name} is not a picture that can be opened: {error}") from error


def _frames(picture: Image.Image, task: Task) -> range:
    """Return the frames to look at: pages of a TIFF, moments of an animation; of a photo's two sizes only the first."""
    count = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if picture.format == "TIFF" or count <= _MAX_MOMENTS:
        return range(count)
    task.warn("picture_unread", f"of its {count:,} moments only some were looked at")
    return range(0, count, -(-count // _MAX_MOMENTS))


def _check_size(picture: Image.Image, task: Task) -> None:
    if picture.width * picture.height > task.limits.pixels:
        raise PermanentError(
            f"{task.name} has {picture.width} x {picture.height} pixels, over {task.limits.pixels // 10**6} million"
        )


class Pictures:
    """The words of the pictures in one document; each picture is looked at once."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._seen: dict[bytes, str] = {}
        self._taken: list[bytes] = []
        self._looked = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody looks at pictures at all."""
        return self._task.ocr.enabled or self._task.pictures

    def tiring(self) -> bool:
        """Return whether several pictures were read since this was last true: time to hand over what there is, since the
        time limit counts from one part to the next.
        """
        if self._looked < _PICTURES_PER_PART:
            return False
        self._looked = 0
        return True

    def words(self, data: bytes | None, alt: str) -> str:
        """Return Markdown for a picture: alt text and what OCR reads in it; '' when it says nothing."""
        generic = alt.strip().lower().rstrip("0123456789 .") in _GENERIC_ALT or _FILE_NAME.search(alt)
        alt = "" if generic else alt
        read_text = self._read(data) if data and self.wanted else ""
        if read_text and alt:
            return gfm.picture(f"{alt}. Text in the picture: {read_text}")
        return gfm.picture(alt or (f"Text in the picture: {read_text}" if read_text else ""))

    def taken(self) -> list[bytes]:
        """Return the pictures to be described since the last call."""
        taken, self._taken = self._taken, []
        return taken

    def _read(self, data: bytes) -> str:
        digest = hashlib.sha256(data).digest()
        if digest not in self._seen and len(self._seen) < _MAX_PICTURES:
            self._seen[digest] = self._look(data)
            self._looked += 1
        elif digest not in self._seen:
            self._task.warn("picture_unread", f"only the first {_MAX_PICTURES} pictures were read")
        return self._seen.get(digest, "")

    def _look(self, data: bytes) -> str:
        settings = self._task.ocr
        try:
            with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as picture:
                warnings.simplefilter("ignore")
                if min(picture.size) < settings.min_side_pixels:
                    return ""
                if picture.width * picture.height > self._task.limits.pixels:
                    self._task.warn(
                        "picture_unread", f"a picture of {picture.width} x {picture.height} pixels is too large"
                    )
                    return ""
                page = as_seen(picture)
        except _UNREADABLE:
            # A broken picture is no reason to lose its document.
            self._task.warn("picture_unread", "a picture in it could not be opened")
            return ""
        if self._task.pictures:
            self._taken.append(_small(page))
        return ocr.picture_text(page, self._task)


def _small(picture: Image.Image) -> bytes:
    picture = picture.copy()
    picture.thumbnail((_MAX_DESCRIBED_SIDE, _MAX_DESCRIBED_SIDE))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()

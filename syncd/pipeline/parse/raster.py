"""A picture as people see it: upright, on white, eight bits a colour."""

from __future__ import annotations

from PIL import Image, ImageOps

_WHITE = (255, 255, 255)


def as_seen(picture: Image.Image) -> Image.Image:
    """Return an opened picture's current frame as RGB: turned as its camera says, what is transparent on white.

    Raises what Pillow raises for damaged ones.
    """
    picture = ImageOps.exif_transpose(picture) or picture
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _eight_bits(picture)
    if picture.has_transparency_data:
        on_top = picture.convert("RGBA")
        paper = Image.new("RGB", on_top.size, _WHITE)
        paper.paste(on_top, mask=on_top.getchannel("A"))
        return paper
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return a grey picture of more bits with its own darkest and lightest as black and white: `convert` would cut them off."""
    grey = picture.convert("F")
    low, high = grey.getextrema()
    assert isinstance(low, float)
    assert isinstance(high, float)
    low = min(low, 0.0) if high > 255 else low
    return grey.point(lambda value: (value - low) * (255 / ((high - low) or 1))).convert("L")

"""`python -m tests.dashboard.picture`: makes the README's picture of the dashboard, config/dashboard.png, from a real daemon."""

import asyncio
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from syncd.pipeline.embed.catalog import Catalog
from syncd.pipeline.embed.files import find_file
from tests.app.test_daemon import configuration
from tests.daemon import MINILM, Daemon
from tests.dashboard.driving import launched, opened

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "config/dashboard.png"
SIZE = {"width": 1280, "height": 800}
COLOURS = 96
QUESTION = "merge two rankings by reciprocal rank"
SOURCE = f"""
[[sources]]
name = "search-code"
type = "folder"
path = "{ROOT / "syncd/search"}"
collection = "search-code"
include_globs = ["*.py"]
"""


def main() -> None:
    """Sync parts of this checkout, ask a question, and keep what a browser shows."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models")
        models.mkdir()
        model = Catalog().find(MINILM)
        asyncio.run(find_file(model, model.file(), models))
        daemon = Daemon(Path(folder, "daemon"), configuration(models, SOURCE)).start()
        try:
            ended = "SELECT count(*) FROM invocations WHERE state = 'complete'"
            daemon.wait_until(lambda: daemon.rows(ended)[0][0] > 0, 900)
            with sync_playwright() as playwright:
                page = opened(launched(playwright), daemon)
                page.set_viewport_size(SIZE)
                page.goto(f"/#/search?collection=search-code&q={QUESTION}&limit=5")
                page.wait_for_selector(".live.on")
                expect(page.locator(".threes .hit:first-child")).to_have_count(3)
                image = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
            image.convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)
        finally:
            daemon.stop()
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

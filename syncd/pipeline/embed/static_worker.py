"""The process of a static model: `python -m syncd.pipeline.embed.static_worker SETTINGS`, which answers as `worker` does.

It has one, although what it computes takes less time than a text's way through the pipe: tokenizer and table are foreign files,
which are read in a jail, and tokenising is what most of the time goes to, beside which the daemon must stay able to answer.
"""

from __future__ import annotations

from syncd.pipeline.embed.engine import Kernel
from syncd.pipeline.embed.static_model import StaticModel
from syncd.pipeline.embed.variant import RunSettings
from syncd.pipeline.embed.worker import EmbedWorker, TextModel, serve_model


class StaticWorker(EmbedWorker):
    """Answers the same requests for one static model."""

    def opened(self, settings: RunSettings) -> tuple[TextModel, Kernel]:
        """Return the model, which is its own kernel."""
        model = StaticModel(settings.path)
        return model, model


if __name__ == "__main__":
    serve_model(StaticWorker)

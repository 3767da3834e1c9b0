"""What `syncd model list` says of one file of one model."""

from __future__ import annotations

from typing import NamedTuple


class ModelRow(NamedTuple):
    """One file of one model, as it is listed."""

    model: str
    file: str
    dimensions: int
    max_tokens: int
    here: bool
    used: bool
    servers: list[str]

    def shown(self) -> list[str]:
        """Return it for people."""
        words = {True: "yes", False: "no"}
        shown = {"here": words[self.here], "used": words[self.used], "servers": " ".join(self.servers)}
        return [str(value) for value in {**self._asdict(), **shown}.values()]

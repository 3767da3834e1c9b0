"""The table of the workers of a cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from syncd.schema import Table

_ADDRESS = re.compile(r"auto|(ray://)?[\w.-]+:\d{1,5}|(ray://)?\[[0-9a-fA-F:]+\]:\d{1,5}")


class WorkersSection(Table):
    """A Ray cluster that prepares and embeds documents in place of this machine, if `ray` is given."""

    ray: str | None = None
    """`auto`: the cluster that this machine is a node of; ray://HOST:10001 from outside of it; HOST:6379 on one of its nodes."""
    embedders: Literal["auto"] | Annotated[int, Field(ge=1, le=4096)] = "auto"
    """Workers of each model; `auto`: as many as the nodes have room for."""
    preparers: Literal["auto"] | Annotated[int, Field(ge=0, le=4096)] = "auto"
    """Workers that prepare; `auto`: one on each node that has cores; 0: this machine prepares."""
    cpus: Annotated[float, Field(gt=0)] = 1.0
    """Cores that a worker of a model takes of its node. Those that prepare share its cores with whatever else runs there."""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """Cards that it takes: 0.5 for two workers a card."""
    models_dir: Path | None = None
    """Where the nodes have models' files, but for those that are at a model's own `path` there; by default at the same path as here."""

    @field_validator("ray")
    @classmethod
    def address(cls, ray: str | None) -> str | None:
        """Check that it is an address of a cluster."""
        if ray is not None and not _ADDRESS.fullmatch(ray):
            raise ValueError("workers.ray is no address of a cluster: auto, ray://HOST:10001, or HOST:6379")
        return ray

    @field_validator("models_dir")
    @classmethod
    def absolute(cls, models_dir: Path | None) -> Path | None:
        """Check that it means the same on every node."""
        if models_dir is not None and not models_dir.is_absolute():
            raise ValueError("workers.models_dir is a path on the nodes, which begins with /")
        return models_dir

    @model_validator(mode="after")
    def somewhere(self) -> WorkersSection:
        """Check that the other keys have a cluster to go with."""
        counts = (self.embedders, self.preparers)
        given = counts != ("auto", "auto") or self.cpus != 1.0 or self.gpus or self.models_dir
        if self.ray is None and given:
            raise ValueError("workers needs workers.ray, such as ray://HOST:10001")
        return self

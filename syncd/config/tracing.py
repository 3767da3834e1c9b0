"""The table of traces."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from syncd.schema import Table, http_parts


class TracingSection(Table):
    """The receiver of documents' traces, if any."""

    endpoint: str | None = None
    sampled_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of documents that are traced, each whole."""

    @field_validator("endpoint")
    @classmethod
    def base(cls, endpoint: str | None) -> str | None:
        """Check that it is a base URL of HTTP, without credentials."""
        if endpoint is not None:
            parts = http_parts(endpoint)
            if parts is None or parts.username or parts.query or parts.path.rstrip("/").endswith("/v1/traces"):
                raise ValueError(
                    "tracing.endpoint is no base URL such as http://127.0.0.1:4318 (/v1/traces is appended); a key goes into the variable "
                    "OTEL_EXPORTER_OTLP_HEADERS"
                )
        return endpoint

    @model_validator(mode="after")
    def somewhere(self) -> TracingSection:
        """Check that the share has a receiver to go with."""
        if self.endpoint is None and self.sampled_share != 1.0:
            raise ValueError("tracing needs tracing.endpoint, such as http://127.0.0.1:4318")
        return self

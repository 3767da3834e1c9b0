"""Requests of invocations, as the JSON that the store keeps of them."""

from __future__ import annotations

import json
from typing import Any

from syncd.model import Request
from syncd.store.invocation_codec import request_from_json, request_to_json


def asked(**values: Any) -> Request:
    """Return the request that is stored as these values."""
    return request_from_json(json.dumps(values))


def stored(request: Request) -> dict[str, Any]:
    """Return what is stored of a request."""
    return json.loads(request_to_json(request))

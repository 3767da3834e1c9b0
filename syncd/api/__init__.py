"""The HTTP API: read application.py, then one module per resource."""

from syncd.api.application import ApiServer, Limits, create_app
from syncd.api.services import Pace, Services

__all__ = ["ApiServer", "Limits", "Pace", "Services", "create_app"]

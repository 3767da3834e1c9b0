"""The HTTP API: read application.py, then one module per resource."""

from syncd.api.application import ApiServer, ConnectionLimits, create_app
from syncd.api.services import Pace, Services

__all__ = ["ApiServer", "ConnectionLimits", "Pace", "Services", "create_app"]

"""The HTTP API: start with application.py; each resource has a module."""

from syncd.api.application import ApiServer, ConnectionLimits, create_app
from syncd.api.services import Pace, Services, Vitals

__all__ = ["ApiServer", "ConnectionLimits", "Pace", "Services", "Vitals", "create_app"]

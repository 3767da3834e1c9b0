"""The HTTP API: start with application.py; each resource has a module."""

from syncd.api.application import ApiServer, create_app
from syncd.api.connections import ConnectionLimits
from syncd.api.services import Pace, Services, Vitals

__all__ = ["ApiServer", "ConnectionLimits", "Pace", "Services", "Vitals", "create_app"]

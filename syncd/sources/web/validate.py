"""Checks a web source's settings, as far as possible without a request."""

from __future__ import annotations

from syncd.errors import PermanentError
from syncd.runtime.linear import LinearPattern
from syncd.sources.web.addresses import AddressRule
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.urls import UrlError, host_named, normal


def validate_settings(settings: WebSettings) -> None:
    """Check everything that can be checked without a request.

    Raises PermanentError naming the option, its value and what is allowed.
    """
    try:
        normal(settings.starting_url)
    except UrlError as error:
        raise PermanentError(
            f"starting_url {settings.starting_url!r} is not usable ({error}); give an http or https URL"
        ) from error
    for host in settings.extra_hosts:
        try:
            host_named(host)
        except UrlError as error:
            raise PermanentError(f"extra_hosts {host!r} is not usable ({error}); give a host or host:port") from error
    for option in ("include_path_regexes", "exclude_path_regexes"):
        for pattern in getattr(settings, option):
            LinearPattern(option, pattern)
    for name, least in (("page_limit", 0), ("max_depth", 0), ("concurrency", 1)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise PermanentError(f"{name} {value} is out of range; the smallest value is {least}")
    if settings.rate_per_s < 0:
        raise PermanentError(f"rate_per_s {settings.rate_per_s} is out of range; 0 means no limit")
    for text in settings.allow_private_addresses:
        AddressRule.parse(text)

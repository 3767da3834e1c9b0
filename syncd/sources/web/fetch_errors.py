"""Why a request got no response, in words for a site's owner or its reader."""

from __future__ import annotations

import ssl

from syncd.runtime.headers import storable
from syncd.sources.web.addresses import RefusedAddressError


class FetchError(Exception):
    """A request got no complete response; the message says why. `lasting`: a retry would fail the same way."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


def too_large_error(size_bytes: int) -> FetchError:
    """Return the error for a body that is larger than may be read."""
    return FetchError(f"larger than {size_bytes} bytes", lasting=True)


def certificate_trouble(error: Exception) -> str:
    """Return in a site owner's words what is wrong with a certificate (codes: X509_V_ERR_* of OpenSSL)."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not valid ({one_line(error)})"
    match error.verify_code:
        case 9 | 10:
            return "its TLS certificate has expired or is not valid yet; the site's owner must renew it"
        case 18 | 19 | 20 | 21:
            return "its TLS certificate is not signed by a trusted authority; SSL_CERT_FILE can name an authority"
        case 62 | 64:
            return f"its TLS certificate is for another host ({error.verify_message})"
        case _:
            return f"its TLS certificate is not valid ({one_line(error)})"


def refusal_in(error: BaseException) -> str | None:
    """Return the guard's own words where it was the guard that refused, else None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RefusedAddressError):
        cause = cause.__cause__
    return None if cause is None else str(cause)


def one_line(error: BaseException) -> str:
    """Return an error's type and text on one line."""
    return storable(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])

"""Keys of other services that sources use: list, rotate, delete. Their secrets are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from aiohttp import web
from pydantic import Field

from syncd.api.auth import scope
from syncd.api.errors import RefusedError, bad_request
from syncd.api.requests import read_json
from syncd.api.route import Route, json_answer
from syncd.api.services import SERVICES
from syncd.api.views import rfc3339
from syncd.quoting import shown
from syncd.schema import Model, Moment, OwnModel
from syncd.store.secrets import CredentialRecord

PARTS: Mapping[str, Mapping[str, str]] = {
    "aws": {part: part for part in ("aws_access_key_id", "aws_secret_access_key")},
    "azure_blob": {"credential": "value"},
    "gcs": {"service_account_key": "value"},
    "git": {"token": "token"},
}
"""What can be replaced of a credential of each kind, all of it at once, and how the safe calls that."""


class CredentialView(Model):
    """A credential without its secret."""

    id: int
    """What sources name as their `aws_credential_id` or `credential_id`."""
    database_name: str
    kind: str
    stored_at: Moment
    """When the secret that it has now was stored."""
    sources: list[str]
    """The ids of the sources that use it."""


class RotateCredentialPayload(OwnModel):
    """The new secret: `aws_access_key_id` and `aws_secret_access_key` for AWS, `token` for git, `service_account_key` for Google Cloud
    Storage, `credential` for Azure.
    """

    aws_access_key_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    aws_secret_access_key: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    token: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    service_account_key: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    credential: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None


async def index(request: web.Request) -> web.Response:
    """List the credentials of the databases that the caller may access."""
    found = await request.app[SERVICES].store.credentials.list(scope(request))
    return json_answer(
        [
            {
                "id": it.id,
                "database_name": it.database,
                "kind": it.kind,
                "stored_at": rfc3339(it.stored_at),
                "sources": it.sources,
            }
            for it in found
        ]
    )


async def rotate(request: web.Request) -> web.Response:
    """Replace a secret, and its copies in the databases that the caller may access; sources use the new one from their next request on."""
    services, payload = request.app[SERVICES], await read_json(request, RotateCredentialPayload)
    found = await _own(request)
    given, parts = payload.model_dump(exclude_none=True), PARTS[found.kind]
    if given.keys() != parts.keys():
        raise bad_request(f"a credential of kind {found.kind} is rotated with {' and '.join(sorted(parts))}")
    await services.store.credentials.rotate(
        found, {parts[part]: value for part, value in given.items()}, scope(request)
    )
    services.wake()
    return web.Response(status=204)


async def delete(request: web.Request) -> web.Response:
    """Delete a credential that no source uses."""
    await request.app[SERVICES].store.credentials.delete((await _own(request)).id)
    return web.Response(status=204)


async def _own(request: web.Request) -> CredentialRecord:
    """Return the credential in the path; one of a database that the caller may not access does not exist for it."""
    given = request.match_info["credential_id"]
    for found in await request.app[SERVICES].store.credentials.list(scope(request)):
        if str(found.id) == given:
            return found
    raise RefusedError(404, f"credential {shown(given)} does not exist; list credentials to find its id")


ROUTES = (
    Route(
        "GET",
        "/api/v1/credentials",
        index,
        "list_credentials",
        "Credential",
        "List credentials",
        {200: [CredentialView]},
        errors=(400, 401, 500),
        own=True,
    ),
    Route(
        "POST",
        "/api/v1/credentials/{credential_id}/rotate",
        rotate,
        "rotate_credential",
        "Credential",
        "Rotate credential",
        {204: None},
        body=RotateCredentialPayload,
        own=True,
    ),
    Route(
        "DELETE",
        "/api/v1/credentials/{credential_id}",
        delete,
        "delete_credential",
        "Credential",
        "Delete credential",
        {204: None},
        errors=(400, 401, 403, 404, 409, 500),
        own=True,
    ),
)

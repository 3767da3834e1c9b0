"""`POST /api/v1/add-file`: one file, streamed to disk, becomes one invocation.

Crash rule: file durable → invocation durable → 201. A crash before the invocation leaves a file that the next start removes;
a crash after it leaves an invocation that will run, whether or not the caller received the 201.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
from aiohttp import BodyPartReader, MultipartReader, web

from syncd.api.auth import TOKEN, require_database
from syncd.api.errors import bad_request
from syncd.api.requests import malformed_is_400
from syncd.api.route import Route, json_answer
from syncd.api.schema_jobs import AddFileResponse
from syncd.api.services import SERVICES, Services
from syncd.api.sources import require_existing, require_open
from syncd.api.upload_file import Arrival, Receiver, Slots, StoredFile, TooLongError, receiving
from syncd.api.upload_form import FORM, LENGTH_HEADER, LENGTH_PARAMETER
from syncd.api.upload_options import upload_options
from syncd.chroma.naming import MAX_METADATA_BYTES, check_collection
from syncd.model import Chunking, Origin, Target, Upload
from syncd.model.limits import MAX_DOCUMENT_SIZE_BYTES
from syncd.quoting import shown
from syncd.sources.upload.settings import UPLOAD_NAME, UploadSourceSettings

MAX_PARTS = 16
MAX_FIELD_BYTES = 64 * 1024
MAX_FILENAME_BYTES = 1024
MAX_CONTENT_TYPE_BYTES = 512
READ_SIZE_BYTES = 256 * 1024
FIELD_LIMITS: Mapping[str, int] = {
    "metadata": MAX_METADATA_BYTES,
    "content_type": MAX_CONTENT_TYPE_BYTES,
}


UPLOADS = web.AppKey("uploads", Slots)


@dataclass(slots=True)
class Form:
    """The parts of the form read so far."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    filename: str = ""
    part_type: str = ""
    file: StoredFile | None = None
    arrival: Arrival = field(default_factory=Arrival)


async def add_file(request: web.Request) -> web.Response:
    """Receive a file and create the invocation that indexes it; both are durable before the 201 is sent."""
    services = request.app[SERVICES]
    declared_bytes = _declared(request)
    with request.app[UPLOADS].one(request[TOKEN].id), receiving(services.upload_dir, declared_bytes) as receiver:
        form = await _read_form(request, receiver, declared_bytes)
        invocation_id = await _create_invocation(services, form, receiver)
    services.wake()
    return json_answer({"invocation_id": invocation_id}, 201)


def _declared(request: web.Request) -> int:
    text = request.headers.get(LENGTH_HEADER, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= MAX_DOCUMENT_SIZE_BYTES):
        raise bad_request(f"{LENGTH_HEADER} must be the file's size in bytes, 1-{MAX_DOCUMENT_SIZE_BYTES}")
    return int(text)


async def _read_form(request: web.Request, receiver: Receiver, declared_bytes: int) -> Form:
    if request.content_type != "multipart/form-data":
        raise bad_request(f"content-type {request.content_type} is not supported; send multipart/form-data")
    form = Form()
    async with malformed_is_400("the multipart body"):
        parts = await request.multipart()
    for _ in range(MAX_PARTS):
        part = await _next(form, parts)
        if part is None:
            break
        if part.name == "file":
            await _take_file(request, form, part, receiver, declared_bytes)
        else:
            await _take_field(form, part)
    else:
        raise bad_request(f"the form has more than {MAX_PARTS} parts; send fewer")
    return form


async def _next(form: Form, parts: MultipartReader) -> BodyPartReader | None:
    async with malformed_is_400("the multipart body"):
        with anyio.fail_after(form.arrival.patience_s):
            part = await parts.next()
    if isinstance(part, MultipartReader):
        raise bad_request("the form has a nested multipart part; send plain parts")
    if part is not None and not part.name:
        raise bad_request("the form has a part without a name; name every part")
    return part


async def _chunk(form: Form, part: BodyPartReader, size_bytes: int) -> bytes:
    async with malformed_is_400("the multipart body"):
        with anyio.fail_after(form.arrival.patience_s):
            chunk = await part.read_chunk(size_bytes)
    form.arrival.note(len(chunk))
    return chunk


async def _take_field(form: Form, part: BodyPartReader) -> None:
    name = part.name or ""
    limit_bytes = FIELD_LIMITS.get(name, MAX_FIELD_BYTES)
    value = bytearray()
    while chunk := await _chunk(form, part, 8192):
        value += chunk
        if len(value) > limit_bytes:
            raise bad_request(f"{shown(name)} is longer than {limit_bytes} bytes; send a shorter value")
    if name in form.fields:
        raise bad_request(f"{shown(name)} is given twice; give it once")
    try:
        form.fields[name] = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad_request(f"{shown(name)} is not valid UTF-8") from error


async def _take_file(
    request: web.Request, form: Form, part: BodyPartReader, receiver: Receiver, declared_bytes: int
) -> None:
    if form.file is not None:
        raise bad_request("the form has two parts named file; send one file per request")
    form.filename = _filename(part)
    form.part_type = part.headers.get("content-type", "")
    target = _target(form)
    require_database(request, target.database)
    # Reject what is already known to be wrong before 200 MiB are transferred.
    upload_options(request.app[SERVICES], form.fields)
    await require_existing(request.app[SERVICES], target.database)
    # Waiting for Chroma was not the sender's doing.
    form.arrival = Arrival()
    try:
        while chunk := await _chunk(form, part, READ_SIZE_BYTES):
            await receiver.write(chunk)
    except TooLongError as error:
        raise bad_request(
            f"the file is larger than the {declared_bytes} bytes that {LENGTH_HEADER} declares"
        ) from error
    form.file = await receiver.finish()
    if form.file.size_bytes != declared_bytes:
        raise bad_request(
            f"the file has {form.file.size_bytes} bytes, but {LENGTH_HEADER} declares {declared_bytes}; send all of it"
        )


def _target(form: Form) -> Target:
    try:
        database, collection = form.fields["database_name"], form.fields["collection_name"]
    except KeyError as error:
        raise bad_request("database_name and collection_name must come before file") from error
    return Target(database, check_collection(collection))


def _filename(part: BodyPartReader) -> str:
    name = part.filename or ""
    # Header bytes that are not UTF-8 arrive as lone surrogates, which cannot be stored.
    size_bytes = len(name.encode("utf-8", "surrogatepass"))
    if not 0 < size_bytes <= MAX_FILENAME_BYTES or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", name):
        raise bad_request(f"the file part needs a filename of 1-{MAX_FILENAME_BYTES} bytes in UTF-8")
    return name


async def _create_invocation(services: Services, form: Form, receiver: Receiver) -> str:
    target = _target(form)
    asked = _asked(services, form)
    await require_open(services, target)
    source = await services.store.sources.get_or_create(
        UPLOAD_NAME, target.database, UploadSourceSettings(), services.upload_embedding, Chunking()
    )
    # Before, not after: a request cancelled while the invocation is committed must not take its file away.
    receiver.keep()
    return (await services.store.invocations.create(source.id, target, Origin.API, asked)).id


def _asked(services: Services, form: Form) -> Upload:
    if form.file is None:
        raise bad_request("the form has no part named file; add one")
    options = upload_options(services, form.fields)
    return Upload(
        file=form.file.name,
        filename=form.filename,
        sha256=form.file.sha256,
        size_bytes=form.file.size_bytes,
        content_type=_content_type(form),
        overrides_suffix=bool(form.fields.get("content_type")),
        custom_id=options.custom_id,
        metadata=options.metadata,
        embedding=options.embedding,
        chunking=options.chunking,
    )


def _content_type(form: Form) -> str:
    given = form.fields.get("content_type")
    if given is not None and not re.fullmatch(r"[!-~][ -~]*", given):
        raise bad_request("content_type must be an ASCII MIME type")
    if given:
        return given
    if form.part_type and form.part_type.isascii() and not form.part_type.startswith("application/octet-stream"):
        return form.part_type
    return mimetypes.guess_type(form.filename, strict=False)[0] or "application/octet-stream"


ROUTES = (
    Route(
        "POST",
        "/api/v1/add-file",
        add_file,
        "add_file",
        "File Upload",
        "Upload and index a file",
        {201: AddFileResponse},
        errors=(400, 401, 403, 404, 409, 429, 500),
        raw_body=FORM,
        headers=(LENGTH_PARAMETER,),
    ),
)

"""Loaded by `st run`: puts ids and names that exist into most of what schemathesis makes up.

Without it nearly every request ends at a 404 or a 400, and nothing behind that is tested.
"""

import json
import os

import schemathesis

KNOWN = json.loads(os.environ["SYNCD_TEST_KNOWN"])
ADD_FILE = "/api/v1/add-file"
LENGTH = "x-upload-content-length"
MAX_FILLED_BYTES = 1 << 20


def chosen(name, value):
    """A known value for `name` three times in four, else the given one; always the same for one value."""
    number = sum(str(value).encode("utf-8", "surrogatepass"))
    return KNOWN[name][number // 4 % len(KNOWN[name])] if number % 4 or not value else value


def with_known(value):
    """Replace strings by known ones, by the names of their fields."""
    if isinstance(value, dict):
        return {
            name: chosen(name, inner) if name in KNOWN and isinstance(inner, str) else with_known(inner)
            for name, inner in value.items()
        }
    return [with_known(inner) for inner in value] if isinstance(value, list) else value


@schemathesis.hook
def before_call(ctx, case, kwargs):
    stateful = case.meta is not None and case.meta.phase.name.value == "stateful"
    if not stateful and case.method != "DELETE":  # else it asks about things that it made itself
        for name, value in dict(case.path_parameters or {}).items():
            if len(str(value)) == len(KNOWN[name][0]):
                case.path_parameters[name] = chosen(name, value)
    if isinstance(case.body, dict):
        fits = case.meta is not None and case.meta.generation.mode.value == "positive"  # before the body changes
        case.body = with_known(case.body)
        if fits and case.operation.path == ADD_FILE:
            prepare_upload(case)


def prepare_upload(case):
    """Order the fields as documented, and cut or fill the file to the declared length."""
    first = {name: case.body[name] for name in ("database_name", "collection_name") if name in case.body}
    body = {**first, **{name: value for name, value in case.body.items() if name not in first}}
    declared = str((case.headers or {}).get(LENGTH, ""))
    if "file" in body and declared.isdigit() and 1 <= int(declared) <= MAX_FILLED_BYTES:
        body["file"] = type(body["file"])(b"x" * int(declared))
    case.body = body

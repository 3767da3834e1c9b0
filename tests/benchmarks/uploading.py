"""Uploads of any size that cost the sender no memory."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

LINE = b"The quick brown fox jumps over the lazy dog and runs into the wide green forest behind the river.\n"
PIECE_LINES = 10_000


def upload(url: str, token: str, model: str, size_mb: int) -> str:
    """Send a text file of that size, a piece at a time, and return its invocation. Its lines are all alike: few vectors."""
    total = size_mb * 1_000_000 // len(LINE) * len(LINE)
    embedding = json.dumps({"dense": {"model": model}})
    fields = {"database_name": "default_database", "collection_name": f"upload-{size_mb}", "embedding": embedding}
    head = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    head += f'--x\r\nContent-Disposition: form-data; name="file"; filename="long-{size_mb}.txt"\r\n\r\n'
    tail = "\r\n--x--\r\n"
    headers = {
        "x-chroma-token": token,
        "x-upload-content-length": str(total),
        "content-type": "multipart/form-data; boundary=x",
        "content-length": str(len(head) + total + len(tail)),
    }
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=300)
    connection.request("POST", "/api/v1/add-file", pieces(head, total, tail), headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 201, text
    return json.loads(text)["invocation_id"]


def pieces(head: str, total_bytes: int, tail: str) -> Iterator[bytes]:
    """Yield a form whose file is `total_bytes` of lines."""
    yield head.encode()
    for start in range(0, total_bytes, len(LINE) * PIECE_LINES):
        yield (LINE * PIECE_LINES)[: total_bytes - start]
    yield tail.encode()

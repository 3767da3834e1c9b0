import pytest

from syncd.chroma.refusals import CorruptError, DatabaseDamagedError, error_of
from syncd.errors import ConflictError, NotFoundError, RetryableError, TargetRefusedError, TooLargeError


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '{"error":"InvalidArgumentError","message":"Collection expecting embedding"}', TargetRefusedError),
        (400, '{"error":"ChromaError","message":"Database [x] does not exist"}', NotFoundError),
        (404, '{"error":"NotFoundError","message":"Collection [x] does not exist"}', NotFoundError),
        (409, '{"error":"UniqueConstraintError","message":"Database x already exists"}', ConflictError),
        (413, "Payload too large", TooLargeError),
        (401, "{}", RetryableError),
        (429, "slow down", RetryableError),
        (500, '{"error":"InternalError","message":"database or disk is full"}', RetryableError),
        (
            500,
            '{"message":"error returned from database: (code: 11) database disk image is malformed"}',
            DatabaseDamagedError,
        ),
        (400, '{"message":"error returned from database: (code: 26) file is not a database"}', DatabaseDamagedError),
        (500, '{"message":"error returned from database: (code: 1043) constraint failed"}', TargetRefusedError),
        (
            500,
            '{"message":"error returned from database: (code: 1) LIKE or GLOB pattern too complex"}',
            TargetRefusedError,
        ),
        (502, "<html>Bad Gateway</html>", RetryableError),
        (500, '{"message":"Failed to apply logs to the hnsw segment writer"}', CorruptError),
        (500, '{"message":"Error deserializing pickle file"}', CorruptError),
        (500, '{"message":"Error executing plan: Internal error: Error finding id"}', CorruptError),
        (500, '{"message":"Error executing plan: Internal error: Error getting embedding"}', CorruptError),
    ],
)
def test_an_answer_becomes_the_error_that_says_what_to_do(status, body, error):
    assert type(error_of(status, body, {})) is error


def test_the_servers_wish_to_wait_is_kept():
    assert error_of(429, "slow down", {"retry-after": "7"}).retry_after_s == 7


def test_of_a_proxys_page_its_title_is_said():
    page = "<html>\r\n<head><title>413 Request Entity\r\nToo Large</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
    assert "(413 Request Entity Too Large): raise" in str(error_of(413, page, {}))

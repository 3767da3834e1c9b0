import json

import pytest

from syncd import redaction

KEY = "correct horse/battery"


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(redaction, "_secrets", set())


def test_a_registered_secret_is_hidden_as_it_is_and_as_urls_have_it():
    redaction.register_secret(KEY)
    assert (
        redaction.redacted(f"no entry for {KEY}, nor for correct%20horse%2Fbattery") == "no entry for ***, nor for ***"
    )


@pytest.mark.parametrize(
    "secret", ["two\nlines", "schlüssel", "it's 'quoted'", "back\\slash", "by\udce9tes", '"said"\r']
)
def test_a_registered_secret_is_hidden_as_errors_and_json_quote_it(secret):
    redaction.register_secret(secret)
    data = secret.encode("utf-8", "surrogatepass")
    for quoted in (repr(secret), repr(data), json.dumps(secret)):
        assert len(redaction.redacted(f"Illegal header value {quoted}")) <= len("Illegal header value b'***'")


def test_of_a_credential_the_secret_is_hidden_and_the_rest_is_not():
    given = {
        "aws_access_key_id": "AKIAEXAMPLE",
        "aws_secret_access_key": KEY,
        "token": "abcdef1",
        "origin": "https://git",
    }
    redaction.register_secrets_in(given)
    assert redaction.redacted(f"AKIAEXAMPLE, {KEY}, abcdef1, https://git") == "AKIAEXAMPLE, ***, ***, https://git"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("bad token ghs_16C7e42F292c6912E7710c838347Ae178B4a!", "bad token ***!"),
        ("github_pat_11ABCDEFG0abcdefghij_klmno is over", "*** is over"),
        ("'sk_0123456789ab_abcdefghijklmnopqrstuvwxyz' is unknown", "'***' is unknown"),
        ("got Authorization: Basic eC1hY2Nlc3M6Z2hz and went", "got Authorization: Basic *** and went"),
        ("Bearer abc.def-ghi is no key", "Bearer *** is no key"),
        ("send a Bearer token; the ghs_ prefix is GitHub's", "send a Bearer token; the ghs_ prefix is GitHub's"),
    ],
)
def test_tokens_of_known_forms_are_hidden_unregistered(said, shown):
    assert redaction.redacted(said) == shown


def test_json_keeps_its_shape():
    redaction.register_secret(KEY)
    given = {"models": [f"refused {KEY}", 1, None, {"correct": True}], "n": 1.5}
    assert redaction.redacted_json(given) == {"models": ["refused ***", 1, None, {"correct": True}], "n": 1.5}

"""Signatures are those of Microsoft's own library, and keys, tokens and connection strings are told apart."""

import base64
from pathlib import Path

import pytest
from yarl import URL

from syncd.errors import MisconfiguredError
from syncd.sources.azure_blob import credentials
from syncd.sources.azure_blob.credentials import FoundSigner, SasToken, SharedKey, read_credential
from syncd.sources.objects.http import Asking
from tests.azure_server import ACCOUNT, KEY

HOST = f"https://{ACCOUNT}.blob.core.windows.net"


@pytest.mark.parametrize(
    ("place", "headers", "signature"),
    [
        (
            "/docs?restype=container&comp=list&maxresults=1000&prefix=a%20b%2F%C3%BC&marker=2%2152%21x%3D%3D",
            {},
            "CZIK2K0H5VloC+ClkIAFcBttn9+vcoiTJal98tMTh6I=",
        ),
        (
            "/docs/a%20b/%C3%BC.txt",
            {"If-Match": '"0x8DD000000000001"', "x-ms-range": "bytes=10-19"},
            "0EnGD1zVeTcpzWui8UGJ6+4gyGLbFtl3ovJpPY3F7cY=",
        ),
    ],
)
async def test_a_request_is_signed_as_microsofts_library_signs_it(
    monkeypatch: pytest.MonkeyPatch, place: str, headers: dict[str, str], signature: str
):
    """The signatures are those of azure-storage-blob 12.31.1 for the same requests."""
    monkeypatch.setattr(credentials, "formatdate", lambda usegmt: "Sat, 28 Nov 2026 19:00:00 GMT")
    signed = await read_credential(KEY, ACCOUNT, HOST).signed(Asking(URL(HOST + place, encoded=True), headers))
    assert signed.headers["Authorization"] == f"SharedKey {ACCOUNT}:{signature}"
    assert signed.url == URL(HOST + place, encoded=True)


async def test_a_token_is_put_behind_the_query_as_it_is():
    token = read_credential("?sv=2023&sig=a%2Bb%3D", ACCOUNT, HOST)
    for place in ("/c?comp=list", "/c/x"):
        signed = await token.signed(Asking(URL(HOST + place)))
        assert str(signed.url) == HOST + place + ("&" if "?" in place else "?") + "sv=2023&sig=a%2Bb%3D"
    assert "sig" not in repr(token)
    assert base64.b64decode(KEY).hex() not in repr(read_credential(KEY, ACCOUNT, HOST))


def test_a_connection_string_holds_a_key_or_a_token_for_this_account_and_endpoint():
    usual = f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};EndpointSuffix=core.windows.net"
    assert read_credential(f"{usual};AccountKey={KEY}", ACCOUNT, HOST) == SharedKey(ACCOUNT, base64.b64decode(KEY))
    shared = f"BlobEndpoint={HOST}/;SharedAccessSignature=sv=1&sig=x%3D"
    assert read_credential(shared, ACCOUNT, HOST) == SasToken("sv=1&sig=x%3D")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AccountName=other;AccountKey=AAAA", "not for account devacct"),
        (
            f"AccountName={ACCOUNT};AccountKey=AAAA;EndpointSuffix=core.chinacloudapi.cn",
            "chinacloudapi.cn'; name that as endpoint_url",
        ),
        (f"AccountName={ACCOUNT}", "neither AccountKey nor"),
        ("my secret!", "neither an account key"),
    ],
)
def test_a_credential_that_cannot_be_used_is_named_and_not_quoted(text: str, said: str):
    with pytest.raises(MisconfiguredError, match=said) as refused:
        read_credential(text, ACCOUNT, HOST)
    assert "AAAA" not in str(refused.value)
    assert "secret!" not in str(refused.value)


def test_a_token_is_not_sent_unencrypted_over_a_network():
    with pytest.raises(MisconfiguredError, match="would send a SAS token unencrypted"):
        read_credential("sig=x", ACCOUNT, "http://azure.example.org")
    assert read_credential("sig=x", ACCOUNT, "http://127.0.0.1:1/x") == SasToken("sig=x")


async def test_a_file_is_read_again_when_what_it_held_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "azure"
    file.write_text("sig=old\n")
    found = FoundSigner(ACCOUNT, HOST, str(file), None)
    assert str((await found.signed(Asking(URL(HOST + "/c")))).url).endswith("?sig=old")
    file.write_text("sig=new\n")
    assert not found.forget()
    assert str((await found.signed(Asking(URL(HOST + "/c")))).url).endswith("?sig=new")
    monkeypatch.setattr(credentials, "READ_AGAIN_S", -1.0)
    assert found.forget()
    monkeypatch.setenv("AZURE_SECRET", "sig=variable")
    by_name = FoundSigner(ACCOUNT, HOST, None, "AZURE_SECRET")
    assert str((await by_name.signed(Asking(URL(HOST + "/c")))).url).endswith("?sig=variable")
    with pytest.raises(MisconfiguredError, match="credential_env 'NOWHERE' is not set"):
        await FoundSigner(ACCOUNT, HOST, None, "NOWHERE").signed(Asking(URL(HOST)))

"""Every path has a key of its own, and the key leads back to it."""

from hypothesis import given
from hypothesis import strategies as st

from syncd.sources.path_keys import key_of, path_of

TRICKY = st.lists(st.sampled_from([b"\\", b"\\x5c", b"\\xe9", b"\xe9", b"x", b"5c", b"e9", "é".encode(), b"/"])).map(
    b"".join
)


@given(st.binary() | TRICKY)
def test_a_key_leads_back_to_its_path(path: bytes):
    assert path_of(key_of(path)) == path


@given(st.text())
def test_ordinary_names_are_their_own_keys(name: str):
    plain = name.encode("utf-8", "replace").decode().replace("\\", "/")
    assert key_of(plain.encode()) == plain


def test_a_byte_and_its_spelling_have_two_keys():
    assert [key_of(b"caf\xe9"), key_of(b"caf\\xe9"), key_of("café".encode())] == ["caf\\xe9", "caf\\x5cxe9", "café"]

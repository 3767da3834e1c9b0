# ruff: noqa: RUF001 - texts in many scripts
"""Words are found however they are written: in any normal form, script and case, whole and in parts, and however long they are."""

import itertools
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.pipeline.sparse.analyser import document_terms, query_terms
from syncd.pipeline.sparse.bm25 import code_bm25
from syncd.pipeline.sparse.languages import language_of
from syncd.pipeline.sparse.normal import clusters, folded, normalised
from syncd.pipeline.sparse.tokens import tokens

CODE = code_bm25()
GERMAN = "Die Häuser am Hafen sind alt, und das ist für die Stadt nicht gut; sie werden mit der Zeit auch teurer."
FRENCH = "Les chevaux sont dans le pré, et la jument est avec un poulain qui ne mange pas pour elle."
SPANISH = "Las canciones que se oyen en el puerto son de los marineros, y no es fácil para una persona como él."
RUSSIAN = "В гавани стоят корабли, и это не всё: на них есть книги, что для города как праздник."

TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(
            "aZé\u0301\u0327\u00ad\u200b\u200d _.+#9中文かガｶﾞ한\u1112\u1161\u11ab\u314f\u3131ไทยที่हिन्दीשָׁلم\u0344\u0f73İıßﬁ²"
        ),
    ),
    max_size=80,
)


def found_by(document: str, query: str) -> list[str]:
    """Return what of the document is highlighted for a query."""
    (asked,) = CODE.vectors([query], "query")
    (stored,) = CODE.vectors([document])
    spans = CODE.spans(document, asked)
    assert bool(spans) == bool({*asked.indices.tolist()} & {*stored.indices.tolist()})
    return [document[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("document", "query", "shown"),
    [
        ("Gesamt\u00adkonzept und Wert\u200bpapier", "Gesamtkonzept", ["Gesamt\u00adkonzept"]),
        ("Gesamt\u00adkonzept und Wert\u200bpapier", "wertpapier", ["Wert\u200bpapier"]),
        ("Die Fa\u0308hre legt ab", "Fähre", ["Fa\u0308hre"]),
        ("Die Fähre legt ab", "fahre", ["Fähre"]),
        ("Die Fähre legt ab", "FA\u0308HRE", ["Fähre"]),
        ("Zwei Straßen", "STRASSEN", ["Straßen"]),
        ("Øresund, Łódź, Þórr", "oresund lodz thorr", ["Øresund", "Łódź", "Þórr"]),
        ("ΟΔΟΣ Αθηνών", "οδός", ["ΟΔΟΣ"]),
        ("İstanbul, Diyarbakır", "istanbul DIYARBAKIR", ["İstanbul", "Diyarbakır"]),
        ("Ёлка стоит", "елка", ["Ёлка"]),
        ("ｆｕｌｌ　ｗｉｄｔｈ and ﬁles", "full files", ["ｆｕｌｌ", "ﬁles"]),
        ("使用Chroma数据库", "chroma", ["Chroma"]),
        ("使用Chroma数据库", "数据库", ["数据库"]),
        ("日本茶の文化", "茶", ["茶"]),
        ("ｶﾞｲﾄﾞを読む", "ガイド", ["ｶﾞｲﾄﾞ"]),
        ("서울에서 만나요", "서울", ["서울"]),
        (unicodedata.normalize("NFD", "서울에서"), "서울", [unicodedata.normalize("NFD", "서울")]),
        ("ภาษาไทยง่าย", "ไทย", ["ไทย"]),
        ("ភាសាខ្មែរ", "ខ្មែរ", ["ខ្មែរ"]),
        ("ພາສາລາວ", "ລາວ", ["ລາວ"]),
        ("မြန်မာစာ", "မြန်မာ", ["မြန်မာ"]),
        ("हिन्दी में लिखा", "हिन्दी", ["हिन्दी"]),
        ("مُحَمَّد كَتَبَ", "محمد", ["مُحَمَّد"]),
        ("שָׁלוֹם עולם", "שלום", ["שָׁלוֹם"]),
        ("C++17 or plain C", "C++", ["C++", "C"]),
        ("C# is not F#", "F#", ["F#"]),
        ("runs on .NET, or net", ".NET", [".NET", "net"]),
        ("since v3.2.1 of it", "3.2.1", ["v3.2.1"]),
        ("since v3.2.1 of it", "3", ["v3"]),
        ("The WHO said who", "WHO report", ["WHO"]),
        ("SELECT a WHERE b NOT IN c; this is not in it", "NOT IN", ["NOT", "IN", "not", "in"]),
        ("to be or not to be", "to be", ["to", "be", "to", "be"]),
        (f"digest {'0123456789abcdef' * 4}.", "0123456789ABCDEF" * 4, ["0123456789abcdef" * 4]),
        ("Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz", "rindfleischetikettierungsuberwachungsaufgabenubertragungsgesetz", ["Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"]),
        (GERMAN, "Haus", ["Häuser"]),
        (FRENCH, "cheval", ["chevaux"]),
        (SPANISH, "cancion", ["canciones"]),
        (RUSSIAN, "книга", ["книги"]),
    ],
)  # fmt: skip
def test_it_is_found_and_shown(document, query, shown):
    assert found_by(document, query) == shown


@pytest.mark.parametrize(
    ("document", "query"),
    [
        ("हिन्दी", "हद"),
        ("मेरा", "मरा"),
        ("мой", "мои"),
        ("net weight", ".gitignore"),
    ],
)
def test_letters_with_other_marks_and_other_names_are_others(document, query):
    assert found_by(document, query) == []


def test_what_is_written_like_the_query_comes_before_its_parts():
    def shared(document, query):
        return len({*document_terms(document)[0], *document_terms(document)[1]} & {*query_terms(query)})

    for whole, part, query in [
        ("C++", "C", "C++"),
        (".NET", "net", ".NET"),
        ("3.2.1", "1 2 3", "3.2.1"),
        ("数据库", "库数据", "数据库"),
    ]:
        assert shared(whole, query) > shared(part, query)


@pytest.mark.parametrize(
    ("text", "language"),
    [(GERMAN, "german"), (FRENCH, "french"), (SPANISH, "spanish"), (RUSSIAN, "russian"), ("def do(self): return self", "english"), ("", "english"), ("der die das", "english")],
)  # fmt: skip
def test_the_language_is_told_by_its_commonest_words_and_english_without_them(text, language):
    assert language_of(tokens(text)) == language


def test_a_word_is_found_as_it_is_written_in_whatever_language_the_text_is_taken_to_be():
    for text in (GERMAN, FRENCH, SPANISH, RUSSIAN):
        for word in tokens(text):
            assert word in found_by(text, word), (word, text)
            assert word in found_by(text, folded(word).upper())


@given(TEXTS)
@example("\u1100\u1161\u11a8 e\u0301\u0327 \u0344a\u0301")
def test_all_normal_forms_have_the_same_terms(text):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert document_terms(text) == document_terms(forms[0]) == document_terms(forms[1])
    assert query_terms(text) == query_terms(forms[0]) == query_terms(forms[1])


@given(TEXTS)
def test_normalising_twice_is_the_same_and_goes_piece_by_piece(text):
    once = normalised(text)
    assert normalised(once) == once
    assert document_terms(once) == document_terms(text)
    assert "".join(piece for _, _, piece in clusters(text)) == once


@given(TEXTS)
@example("ÀS")
def test_every_letter_is_in_a_token_and_every_token_of_a_letter_has_a_term(text):
    plain = normalised(text)
    held = set("".join(tokens(plain)))
    assert {c for c in plain if c.isalnum()} <= held
    for token in tokens(plain):
        if any(c.isalnum() and folded(c) for c in token):
            assert any(document_terms(token)), token
            assert query_terms(token), token


@given(TEXTS)
def test_terms_are_bounded_and_places_are_inside(text):
    plain = normalised(text)
    counted, beside = document_terms(text)
    assert len(counted) + len(beside) <= 4 * len(plain) + 1
    (asked,) = CODE.vectors([text], "query")
    spans = CODE.spans(text, asked)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


HOSTILE = {
    "marks": "a" + "\u0301\u0316" * 50,
    "tibetan marks": "\u0f40" + "\u0f73" * 100,
    "points": "1." * 100,
    "capitals": "aB" * 100,
    "plus": "+" * 100 + "a++",
    "underscores": "_" * 200,
    "ideographs": "中" * 200,
    "jamo": "\u1100\u1161" * 100,
    "one word": "x" * 200,
    "ligature": "\ufdfa" * 100,
    "scripts": "aбγ" * 70,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_ten_times_the_text_costs_ten_times_the_steps(kind):
    """Steps of Python code are counted, not time; patterns are judged by tests/test_patterns.py."""

    def steps(text):
        count = 0

        def trace(*_):
            nonlocal count
            count += 1
            return trace

        sys.settrace(trace)
        try:
            document_terms(text)
        finally:
            sys.settrace(None)
        return count

    assert steps(HOSTILE[kind] * 100) < 12 * steps(HOSTILE[kind] * 10)

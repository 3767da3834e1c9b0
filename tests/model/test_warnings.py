"""What a document's owner is told of what was guessed or left out, and how much of it at most."""

from syncd.model import DocumentWarning, Warnings
from syncd.model.warnings import MAX_MESSAGE_CHARACTERS, WARNING_CODES, warning_values, warnings_of


def test_one_of_a_kind_is_kept_with_the_first_place_and_how_many_there_were():
    found = Warnings()
    found.add("hidden_content", "sheet 'Old' is hidden")
    found.add("encoding_guessed", "read as cp1251")
    found.add("hidden_content", "sheet 'Older' is hidden", 2)
    assert found.all() == (
        DocumentWarning("encoding_guessed", "read as cp1251", 1),
        DocumentWarning("hidden_content", "sheet 'Old' is hidden", 3),
    )


def test_neither_their_number_nor_their_size_is_the_documents_choice():
    found = Warnings(DocumentWarning(f"made-up-{number}", "x") for number in range(1000))
    found.add("table_cut", "a\0b\nc\ud800 " + "x" * 10_000)
    (warning,) = found.all()
    assert warning.message.startswith("ab c? xxx")
    assert len(warning.message) == MAX_MESSAGE_CHARACTERS
    for code in WARNING_CODES:
        found.extend([DocumentWarning(code, "y")] * 3)
    assert len(found.all()) == len(WARNING_CODES)


def test_they_travel_as_json_values():
    found = Warnings([DocumentWarning("table_cut", "after row 10", 2)])
    assert warnings_of(warning_values(found.all())) == found.all()

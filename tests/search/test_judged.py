import json

import pytest

from syncd.errors import PermanentError
from syncd.search.judged import JudgedQuestion, TextPlace, questions_in


def test_a_file_names_documents_or_lines_of_them():
    entries = [
        {"question": "who lights it?", "answers": ["lamp.md"], "kind": "who"},
        {"question": "where?", "answers": [{"key": "lamp.md", "first_line": 3, "last_line": 4}, "sea.md"]},
    ]
    assert questions_in(json.dumps({"questions": entries})) == [
        JudgedQuestion("who lights it?", [TextPlace("lamp.md")], "who"),
        JudgedQuestion("where?", [TextPlace("lamp.md", 3, 4), TextPlace("sea.md")]),
    ]


def test_the_benchmarks_own_files_are_taken_too():
    queries = [["tree of commands", ["command.go"], ["args.go"], "semantic"]]
    text = json.dumps(
        {"metric": "…", "repos": {"cobra": {"language": "go", "queries": queries}, "axum": {"queries": []}}}
    )
    wanted = JudgedQuestion("tree of commands", [TextPlace("command.go"), TextPlace("args.go")], "semantic")
    assert questions_in(text, "cobra") == [wanted]
    with pytest.raises(PermanentError, match="about cobra, axum: choose one of them with --repository"):
        questions_in(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "questions"),
        ('{"questions": []}', "questions"),
        ('{"questions": [{"question": "a", "answers": []}]}', "questions.0.answers"),
        ('{"questions": [{"question": "a", "anwsers": ["b"]}]}', "did you mean 'answers'"),
        ('{"repos": {"a": {"queries": [["b"]]}}}', "repos.a.queries.0"),
    ],
)
def test_what_is_no_file_of_questions_is_told_with_the_place(text, reason):
    with pytest.raises(PermanentError, match=reason):
        questions_in(text)

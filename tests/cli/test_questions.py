"""What the quick start asks about a folder."""

from pathlib import Path

from syncd.cli.questions import OWN, questions_about
from tests.pipeline.parts import write


def test_a_folder_is_asked_about_its_headings_and_then_its_names(tmp_path):
    write(
        tmp_path,
        {
            "a/guide.md": "# Guide\n\n## How [orders](x.md) are `paid`\n",
            "b.rst": "Holiday entries\n===============\n",
            "invoice_2024-01.csv": "a,b\n",
            "node_modules/x.md": "# Not asked about this\n",
            ".hidden/y.md": "# Nor about this\n",
        },
    )
    assert questions_about(tmp_path) == ("Holiday entries", "How orders are paid", "invoice 2024 01")


def test_names_of_one_word_are_asked_where_there_is_nothing_better(tmp_path):
    write(tmp_path, {"alpha.py": "x = 1\n", "beta.py": "y = 1\n"})
    assert questions_about(tmp_path) == ("alpha", "beta")
    assert questions_about(tmp_path / "nothing") == ()


def test_syncd_is_asked_about_itself():
    assert questions_about(Path(__file__).parents[2]) == OWN

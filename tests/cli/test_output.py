"""What people read: times, tables, and the texts of strangers."""

import io

import pytest

from syncd.cli.output import MANY_ROWS, HarmlessConsole, print_table
from syncd.cli.status import why_failed
from syncd.cli.words import duration_words


@pytest.mark.parametrize(
    ("length_s", "words"),
    [(0, "0 s"), (0.9, "0 s"), (119, "119 s"), (120, "2 min"), (808, "13 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_time_is_told_in_the_largest_unit_that_says_enough(length_s, words):
    assert duration_words(length_s) == words


def test_the_status_of_all_says_why_a_run_failed_without_filling_the_screen():
    assert why_failed({"status": {"failed": {"error": "the host is away"}}}) == "failed: the host is away"
    assert len(why_failed({"status": {"failed": {"error": "long " * 200}}})) < 200
    assert why_failed({"status": "pending"}) == why_failed({"status": {"complete": {}}}) == ""


STEERING = "\x1b]0;taken\x07\x1b[31mred\x9b2J\rname\n.md"


def test_what_strangers_wrote_does_not_steer_the_terminal():
    written = io.StringIO()
    console = HarmlessConsole(file=written, force_terminal=True, width=200, markup=False, highlight=False)
    console.print(STEERING)
    console.print("[bold]styled[/]", markup=True)
    shown = written.getvalue()
    # Rich itself leaves bells and returns out.
    assert r"\x1b]0;taken\x1b[31mred\x9b2Jname" in shown
    assert "\x1b[1mstyled\x1b[0m" in shown


def test_a_table_that_a_terminal_is_too_narrow_for_is_told_row_by_row(monkeypatch):
    rows = [("x" * 36, "failing", "cannot reach the server " * 8), ("y" * 36, "watched", "")]
    for width, is_table in ((40, False), (80, True)):
        written = io.StringIO()
        narrow = HarmlessConsole(file=written, force_terminal=True, width=width, soft_wrap=True, no_color=True)
        monkeypatch.setattr("syncd.cli.output.out", narrow)
        print_table(("id", "state", "reason"), rows)
        assert ("\n  state: failing\n  reason: cannot reach" in written.getvalue()) is not is_table
        assert "  reason: \n" not in written.getvalue()


def test_a_row_of_a_piped_table_is_one_line_and_many_rows_take_no_time_to_fit(capsys):
    rows = [(STEERING, None, 7), ("灯台.md", "written", 12)]
    print_table(("document", "stage", "chunks"), rows)
    head, stranger, wide = capsys.readouterr().out.splitlines()
    assert stranger.startswith(r"\x1b]0;taken\x07\x1b[31mred\x9b2J\x0dname\n.md ")
    assert stranger.endswith(" 7")
    # Wide characters take two columns.
    assert head.index("stage") == wide.index("written") + 2
    print_table(("document",), [(f"{number}.md",) for number in range(MANY_ROWS + 1)])
    assert len(capsys.readouterr().out.splitlines()) == MANY_ROWS + 2

"""What on a sheet belongs together."""

from __future__ import annotations

from syncd.pipeline.parse.sheet_layout import areas
from syncd.pipeline.parse.sheet_rows import SheetRow


def laid_out(*lines: str) -> list[list[list[str]]]:
    """The areas of a sheet drawn as lines: cells parted by bars, blank ones empty."""
    rows = [
        SheetRow(number, {at: text.strip() for at, text in enumerate(line.split("|")) if text.strip()})
        for number, line in enumerate(lines)
    ]
    return list(areas([row for row in rows if row.cells]))


def test_cells_that_do_not_touch_are_one_table_and_nothing_is_in_two() -> None:
    table = laid_out("Item |North|South|Note", "Rope", "Paint | | |late", "Nails||7|")
    assert table == [
        [["Item", "North", "South", "Note"], ["Rope", "", "", ""], ["Paint", "", "", "late"], ["Nails", "", "7", ""]]
    ]


def test_spacer_columns_stay_within_and_labels_stand_beside_values() -> None:
    assert laid_out("Shed||4712", "Mast||815") == [[["Shed", "4712"], ["Mast", "815"]]]
    assert laid_out("|2026||2027", "Dues|4||5", "Wages|3||2") == [
        [["", "2026", "2027"], ["Dues", "4", "5"], ["Wages", "3", "2"]]
    ]
    assert laid_out("Shed|||4712", "Mast|||815") == [[["Shed", "4712"], ["Mast", "815"]]]


def test_a_blank_row_does_not_part_rows_from_their_header() -> None:
    assert laid_out("Who|Where|Day", "Ann|dock|Monday", "", "Bo|yard|Friday") == [
        [["Who", "Where", "Day"], ["Ann", "dock", "Monday"], ["Bo", "yard", "Friday"]]
    ]


def test_a_title_stands_alone_above_its_table() -> None:
    table = [["Year", "Boats", "Crew"], ["2026", "3", "9"], ["2027", "4", "12"]]
    drawn = [" | ".join(row) for row in table]
    assert laid_out("Harbour", "", *drawn) == [[["Harbour"]], table]
    assert laid_out("Harbour", *drawn) == [[["Harbour"]], table]
    assert laid_out("Harbour|Harbour|Harbour", *drawn) == [[["Harbour"]], table]


def test_tables_below_and_beside_each_other_are_tables_of_their_own() -> None:
    first, second = [["a", "b"], ["1", "2"]], [["x", "y"], ["3", "4"]]
    assert laid_out("a|b", "1|2", "", "", "x|y", "3|4") == [first, second]
    assert laid_out("a|b", "1|2", "", "x|y", "3|4") == [first, second]
    assert laid_out("a|b|||x|y", "1|2|||3|4") == [first, second]
    assert laid_out("a|b||", "1|2||x|y", "|||3|4") == [first, second]


def test_a_remark_below_is_no_row() -> None:
    assert laid_out("a|b", "1|2", "", "As of May") == [[["a", "b"], ["1", "2"]], [["As of May"]]]


def test_a_sheet_costs_what_is_on_it_however_far_apart() -> None:
    rows = [SheetRow(0, {0: "a"}), SheetRow(1_048_575, {16_383: "z"})]
    assert list(areas(rows)) == [[["a"]], [["z"]]]

"""What a spreadsheet shows of a number under a format code."""

import pytest

from syncd.pipeline.parse.number_format import formatted

ACCOUNTING = '_("$"* #,##0.00_);_("$"* \\(#,##0.00\\);_("$"* "-"??_);_(@_)'


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (0.1 + 0.2, "General", "0.3"),
        (0.847, "0.0%", "84.7%"),
        (0.08500000000000002, "0.00%", "8.50%"),
        (-0.06, "0%", "-6%"),
        (1067, "00000", "01067"),
        (2315.5, '"$"#,##0.00', "$2,315.50"),
        (2315.5, "[$€-407]\\ #,##0.00", "€ 2,315.50"),
        (2315.5, ACCOUNTING, "$2,315.50"),
        (-2315.5, ACCOUNTING, "$(2,315.50)"),
        (-7.25, "#,##0.00;[Red]-#,##0.00", "-7.25"),
        (0, '0;-0;"none"', "none"),
        (1234567, '#,##0,"k"', "1,235k"),
        (12345678, '0.0,,"M"', "12.3M"),
        (1234567, '#,##0.00, "k";-0.0,', "1,234.57 k"),
        (1234567, "0,.0", "1234.6"),
        (987654321, "000-00-0000", "987-65-4321"),
        (3, '0 "pcs"', "3 pcs"),
        (2.5, "# ?/?", "2 1/2"),
        (54321.987, "0.00E+00", "5.43E+04"),
        (12, '[<10]"low";[>=10]"high"', "high"),
        (7, "@", "7"),
    ],
)
def test_numbers_look_as_on_the_sheet(value: float, code: str, text: str) -> None:
    assert formatted(value, code) == text


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (46455, "dd.mm.yyyy", "2027-03-09"),
        (46455.5, "m/d/yy h:mm", "2027-03-09 12:00"),
        (46455, "mmm yyyy", "Mar 2027"),
        (0.3125, "hh:mm", "07:30"),
        (0.3125, "h:mm AM/PM", "7:30 AM"),
        (1.6875, "[h]:mm", "40:30"),
        (0.5208, "mm:ss", "29:57"),
    ],
)
def test_dates_are_iso_where_they_are_shown_to_the_day_and_durations_run_on_over_days(
    value: float, code: str, text: str
) -> None:
    assert formatted(value, code) == text


def test_what_a_format_does_not_show_is_cut_off_but_a_hair_short_of_a_minute_is_that_minute() -> None:
    new_years_eve = 45291 + 86399 / 86400
    assert formatted(new_years_eve, "yyyy-mm-dd") == "2023-12-31"
    assert formatted(new_years_eve, "dd/mm/yyyy hh:mm") == "2023-12-31 23:59"
    assert formatted(new_years_eve, "mmm-yy") == "Dec 2023"
    assert formatted((3600 + 30 * 60 + 45) / 86400, "[h]:mm") == "1:30"
    assert formatted(0.347222222222, "h:mm") == "8:20"
    assert formatted(0.347222222222, "[h]:mm") == "8:20"


def test_workbooks_of_old_macs_count_from_1904() -> None:
    assert formatted(44993, "yyyy-mm-dd", from_1904=True) == "2027-03-09"


@pytest.mark.parametrize(
    "code", ["#" * 10_000, ";;;", "[", '"', "E+E+", "?/?/?", "\\", "0" * 200, "%%%%%", "[h", "y" * 200]
)
def test_no_code_is_a_reason_to_fail(code: str) -> None:
    for value in (0.0, -1.5, 1e308, -1e-300, 2e15, 99999999.0):
        assert formatted(value, code)

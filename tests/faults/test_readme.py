"""The table of faults names the tests that there are."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent


def test_the_table_has_every_test_of_a_fault_and_no_other():
    written = re.findall(r"`(test_\w+)`", (FOLDER / "README.md").read_text())
    others = [file for file in FOLDER.glob("test_*.py") if file != Path(__file__)]
    found = [name for file in others for name in re.findall(r"(?m)^(?:async )?def (test_\w+)", file.read_text())]
    assert sorted(written) == sorted(found)

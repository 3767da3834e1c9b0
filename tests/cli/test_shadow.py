"""What people are told of a collection beside the one that answers."""

import pytest

from syncd.cli.shadow import print_shadow, shadow_line

NOTES = {"database_name": "d", "collection_name": "notes", "reason": ""}


@pytest.mark.parametrize(
    ("shadow", "told"),
    [
        ({"state": "building", "built": 0.734}, "shadow of notes: 73% built"),
        (
            {"state": "building", "built": 0.95, "reason": "deletes are held"},
            "shadow of notes: 95% built, and waits: deletes are held",
        ),
        (
            {"state": "refused", "reason": "nDCG@10 falls"},
            "shadow of notes waits for a decision: nDCG@10 falls (syncd shadow notes --switch, or --discard)",
        ),
        (
            {"state": "former", "kept_until": 0.0},
            "notes can go back to what it was until 1970-01-01 00:00Z: syncd rollback notes",
        ),
        (
            {"state": "blocked", "reason": "its sources are set to different embeddings: set them alike"},
            "notes cannot be built with its sources' settings: its sources are set to different embeddings: set them alike",
        ),
        ({"state": "discarded"}, "shadow of notes: discarded"),
    ],
)
def test_a_line_says_how_it_is_and_what_can_be_done(shadow, told):
    assert shadow_line({**NOTES, **shadow}) == told


def test_the_figures_of_both_stand_side_by_side(capsys):
    way = {
        "way": "hybrid",
        "ndcg_at_10": [0.5, 0.75],
        "recall_at_10": [0.6, 1.0],
        "mrr": [0.4, 0.7],
        "read_ndcg": [0.8, 0.9],
    }
    print_shadow({**NOTES, "state": "building", "built": 1.0, "questions": 12, "figures": [way]})
    shown = capsys.readouterr().out
    assert "12 questions made of the collection: before → after the change" in shown
    assert "hybrid  0.500 → 0.750  0.600 → 1.000  0.400 → 0.700  0.800 → 0.900" in shown

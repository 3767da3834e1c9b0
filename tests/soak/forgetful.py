"""The hurried program with a mistake that a soak must notice: it remembers what was asked, not what was achieved.

Whoever asked is done with: a run gives up after some attempts, nothing that failed is asked for again, and a commit that was
asked for counts as there.

python -m tests.soak.forgetful run --config FILE
"""

from syncd.cli import main
from syncd.sources.git.watch import BranchWatcher, never_behind
from syncd.sync import settlement
from tests.soak.hurried import hurry


async def not_again(_self, _attempt, _request=None) -> None:
    """Ask for nothing."""


def forget() -> None:
    """Make the mistake."""
    moves = BranchWatcher.moves
    BranchWatcher.moves = lambda self, _is_behind: moves(self, never_behind)
    settlement.is_awaited = lambda _invocation: True
    settlement.Settlement._ask_again = not_again


if __name__ == "__main__":
    hurry()
    forget()
    main()

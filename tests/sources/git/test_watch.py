import pytest

from syncd.errors import NotFoundError, RetryableError, SyncdError
from syncd.sources.git.refs import Ref
from syncd.sources.git.watch import MAX_BACKOFF_S, BranchWatcher


class Branch:
    """Answers what it is told to, in order, and the last one for ever."""

    def __init__(self, *answers: str | SyncdError) -> None:
        self.answers = list(answers)
        self.waits_s: list[float] = []
        self.errors: list[str] = []

    async def head(self, ref: Ref) -> str:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, SyncdError):
            raise answer
        return answer

    async def sleep(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)

    def report(self, reason: str, retry_s: float) -> None:
        self.errors += [reason] if reason else []

    def watcher(self, interval_s: float = 60) -> BranchWatcher:
        return BranchWatcher(self, Ref("main"), interval_s, self.report, self.sleep)


async def test_it_yields_the_first_head_and_then_only_moves() -> None:
    branch = Branch("a", "a", "b", "b", "b", "c")
    moves = branch.watcher().moves()
    assert [await anext(moves) for _ in range(3)] == ["a", "b", "c"]
    assert len(branch.waits_s) == 5


async def test_a_commit_is_yielded_again_until_it_has_arrived() -> None:
    arrived: list[str] = []

    async def is_behind(commit: str) -> bool:
        return commit not in arrived

    branch = Branch("a", "a", "a", "a", "b")
    moves = branch.watcher().moves(is_behind)
    assert [await anext(moves) for _ in range(3)] == ["a", "a", "a"]
    arrived.append("a")
    assert await anext(moves) == "b"
    assert len(branch.waits_s) == 4


async def test_it_waits_about_the_interval() -> None:
    branch = Branch(*["a"] * 50, "b")
    moves = branch.watcher(interval_s=100).moves()
    assert [await anext(moves), await anext(moves)] == ["a", "b"]
    assert min(branch.waits_s) >= 90
    assert max(branch.waits_s) <= 110
    assert len(set(branch.waits_s)) > 10


async def test_a_server_that_is_away_is_asked_less_and_less_and_as_it_wishes() -> None:
    away = RetryableError("away")
    branch = Branch(
        away, away, RetryableError("slow down", retry_after_s=5000), NotFoundError("no branch"), *[away] * 6, "a"
    )
    assert await anext(branch.watcher(interval_s=10).moves()) == "a"
    assert branch.errors[:4] == ["away", "away", "slow down", "no branch"]
    assert [round(wait_s / 20) for wait_s in branch.waits_s[:2]] == [1, 2]
    assert branch.waits_s[2] >= 4500
    assert max(branch.waits_s[3:]) == pytest.approx(MAX_BACKOFF_S, rel=0.11)

import anyio
import pytest

from syncd.errors import PermanentError
from syncd.runtime.worker import Worker

CHILD = "tests.runtime.patient_child"


async def test_requests_are_answered_at_once_and_each_caller_gets_its_own_reply(monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    answers: dict[int, bytes] = {}

    async def ask(number: int) -> None:
        reply = await child.call({"op": "meet", "number": number}, bytes([number]), timeout_s=30)
        assert reply.header["number"] == number
        answers[number] = reply.payload

    async with Worker("patient", CHILD, at_once=3) as child:
        # None of them is answered before the last has come.
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(ask, number)
        assert answers == {0: b"\0", 1: b"\1", 2: b"\2"}
        with pytest.raises(PermanentError, match="not today"):
            await child.call({"op": "refuse"}, timeout_s=30)

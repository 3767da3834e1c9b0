"""A Ray cluster of several machines whose network fails without a word."""

import pytest

from tests.app.test_daemon import request, syncd, until
from tests.daemon import MINILM
from tests.pipeline.ray.test_workers import NOTES, all_held, indexed, made, put
from tests.ray_machines import may_make_machines, network


@pytest.fixture
def cluster():
    """A head and two machines."""
    if not may_make_machines():
        pytest.skip("no network namespaces can be made here")
    with network(2) as cluster:
        yield cluster


@pytest.mark.soak
def test_machines_that_the_network_cuts_off_lose_and_mix_nothing_and_are_used_when_they_are_back(
    cluster, minilm_folder, tmp_path
):
    notes = tmp_path / "notes"
    notes.mkdir()
    put(notes, 0)
    first, second = cluster.machines
    daemon = made(tmp_path / "daemon", minilm_folder, notes, f'[workers]\nray = "{cluster.address}"\n')
    undisturbed = None

    def at_work(kind: str) -> set[str]:
        """Return the machines whose workers do something."""
        status = request(daemon, "GET", "/api/v1/status")
        workers = {"embed": status["models_elsewhere"].get(MINILM, []), "prepare": status["preparers_elsewhere"]}
        return {name.partition(",")[0] for name in workers[kind]}

    def until_all_work() -> None:
        until(lambda: at_work("embed") == {first.name, second.name} and at_work("prepare"))

    try:
        until_all_work()
        for number in range(1, NOTES):
            put(notes, number)
        assert syncd(daemon, "sync", "notes", "--no-wait").returncode == 0
        until(lambda: indexed(daemon) > NOTES // 4)
        first.cut_off()
        until(lambda: indexed(daemon) > NOTES // 2)
        second.cut_off()
        found = all_held(daemon)
        until(lambda: not at_work("embed") and not at_work("prepare"))
        assert request(daemon, "GET", "/health")["status"] == "ok"
        for machine in (first, second):
            machine.connect()
            cluster.join(machine)
        until_all_work()
        until(lambda: request(daemon, "GET", "/health") == {"status": "ok"})
        cluster.head.cut_off()
        put(notes, NOTES)
        assert syncd(daemon, "sync", "notes").returncode == 0
        cluster.head.connect()
        undisturbed = made(tmp_path / "undisturbed", minilm_folder, notes, "")
        right = all_held(undisturbed, NOTES + 1)
        all_held(daemon, NOTES + 1).assert_equals(right)
        assert found.rows.items() <= right.rows.items()
    finally:
        assert [one.stop() for one in (daemon, undisturbed) if one] == [0] * (1 + bool(undisturbed))

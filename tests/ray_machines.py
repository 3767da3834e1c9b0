"""Machines of a Ray cluster: network namespaces of this one, each with a folder of its own for Ray, on a network that can be cut.

It takes the right to make them. Ray is started much as in the README.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_OWN = os.getpid() % 10_000
"""What tells networks apart that are there at once, in 15 characters of an interface's name."""
SUBNET = f"10.{200 + _OWN // 250}.{_OWN % 250}"
BRIDGE = f"syncd{_OWN}"
PORT, CLIENT_PORT = 6379, 10001
_RAY = f"""mount -t tmpfs tmpfs /tmp/ray && hostname "$0" && exec {Path(sys.executable).with_name("ray")} start --block \
    --disable-usage-stats """


def may_make_machines() -> bool:
    """Tell whether namespaces can be made here."""
    if not all(map(shutil.which, ("ip", "unshare"))):
        return False
    return not subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode


def run(command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command.split(), check=True, capture_output=True, text=True)


@dataclass
class Machine:
    """One machine, with the address that the others know it by."""

    name: str
    number: int
    ray: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"{SUBNET}.{self.number}"

    def start_ray(self, arguments: str) -> None:
        """Start Ray. Twice replaces it."""
        self.end_ray()
        command = ["ip", "netns", "exec", self.name, "unshare", "--mount", "--uts", "sh", "-c", _RAY + arguments]
        command.append(self.name)
        self.ray = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)

    def end_ray(self) -> None:
        """Kill Ray and all that it started."""
        if self.ray is not None:
            found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True)
            for pid in map(int, found.stdout.split()):
                os.kill(pid, signal.SIGKILL)
            self.ray.wait()

    def cut_off(self) -> None:
        """Let nothing through any more, in either direction: nobody is told."""
        run(f"ip link set {self.name} down")

    def connect(self) -> None:
        """Let everything through again."""
        run(f"ip link set {self.name} up")


@dataclass
class Network:
    """A head that computes nothing, and machines that do; this machine is on it, too."""

    head: Machine
    machines: list[Machine]

    @property
    def address(self) -> str:
        """The address of the cluster for this machine."""
        return f"ray://{self.head.address}:{CLIENT_PORT}"

    def join(self, machine: Machine) -> None:
        """Let a machine work for the cluster. Twice has it begin anew, as a service manager would."""
        machine.start_ray(f"--address={self.head.address}:{PORT} --node-ip-address={machine.address} --num-cpus=2")


@contextmanager
def network(count: int) -> Iterator[Network]:
    """Yield a cluster of so many machines and its head, which are gone afterwards."""
    Path("/tmp/ray").mkdir(exist_ok=True)
    with ExitStack() as stack:
        run(f"ip link add {BRIDGE} type bridge")
        stack.callback(run, f"ip link delete {BRIDGE}")
        run(f"ip address add {SUBNET}.1/24 dev {BRIDGE}")
        run(f"ip link set {BRIDGE} up")
        head, *machines = [stack.enter_context(_machine(number)) for number in range(2, count + 3)]
        started = f"--node-ip-address={head.address} --port={PORT} --ray-client-server-port={CLIENT_PORT}"
        head.start_ray(f"--head {started} --num-cpus=0 --include-dashboard=false")
        joined = Network(head, machines)
        for machine in machines:
            joined.join(machine)
        yield joined


@contextmanager
def _machine(number: int) -> Iterator[Machine]:
    machine = Machine(f"{BRIDGE}-{number}", number)
    run(f"ip netns add {machine.name}")
    try:
        run(f"ip link add {machine.name} type veth peer name eth0 netns {machine.name}")
        run(f"ip link set {machine.name} master {BRIDGE} up")
        inside = f"ip -n {machine.name}"
        run(f"{inside} address add {machine.address}/24 dev eth0")
        run(f"{inside} link set eth0 up")
        run(f"{inside} link set lo up")
        yield machine
    finally:
        machine.end_ray()
        run(f"ip netns delete {machine.name}")

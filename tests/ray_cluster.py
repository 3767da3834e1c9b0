"""A real Ray cluster of processes on this machine, apart from any other: free ports, a folder of its own."""

import os
import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psutil

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
IMPATIENCE = {"RAY_gcs_rpc_server_reconnect_timeout_s": "3"}
"""After so long without its head, Ray ends a driver; a minute by default."""
SMALL = {"include_dashboard": False, "object_store_memory": 80 << 20}


class RayCluster:
    """A head that holds no worker, and nodes of so many cores each."""

    def __init__(self, folder, port):
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "temp_dir": folder, "gcs_server_port": port, **SMALL}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self.nodes = []

    def add_node(self, cores):
        self.nodes.append(self._cluster.add_node(num_cpus=cores, **SMALL))

    def kill_node(self, node):
        for processes in node.all_processes.values():
            for one in processes:
                one.process.send_signal(signal.SIGKILL)

    def kill_head(self):
        self.kill_node(self._cluster.head_node)

    def end(self):
        for node in self._cluster.list_all_nodes():
            node.kill_all_processes(check_alive=False, allow_graceful=False)


@contextmanager
def ray_running(port=0):
    """Yield a cluster without nodes, whose head listens at a port (0: any)."""
    # Where Ray writes down which cluster was started last; it makes the folder only where a cluster has its default one.
    Path("/tmp/ray").mkdir(exist_ok=True)
    # Not in a test's own folder: the paths of Ray's sockets would be too long.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    cluster = RayCluster(str(folder), port)
    try:
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)


def address_of(port):
    """Where a head of this machine with that port is, or will be."""
    from ray.util import get_node_ip_address

    return f"{get_node_ip_address()}:{port}"


def kill_worker(name):
    """Kill a worker by the name that the daemon knows it by."""
    psutil.Process(_id_of(name)).kill()


def nodes_of(names):
    """The nodes that those workers are on: each is a child of its node's process."""
    return {psutil.Process(_id_of(name)).ppid() for name in names}


def living(names):
    """Those workers that have not died, whether or not the daemon knows."""
    dead = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return [
        name for name in names if psutil.pid_exists(_id_of(name)) and psutil.Process(_id_of(name)).status() not in dead
    ]


def _id_of(name):
    return int(name.rpartition(" ")[2])

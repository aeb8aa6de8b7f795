"""A real Ray cluster for tests: a head and workers as ``ray start`` processes, with a token, killed by pid afterwards.

Either all on this host's loopback, or each in a network namespace of its own, as hosts on a switch whose cables can be
pulled without a word (root only). Such hosts share no files either: a worker sees the installed packages, a folder and
memory of its own, and neither the checkout, nor the driver's files, nor those of other hosts.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster.ray_backend import KEEPALIVE
from tests.cluster.processes import commands, descendants, survivors

ROOT = Path(__file__).parents[2]
PACKAGES = ("mmm_core", "cluster", "runner")
RAY = str(Path(sys.executable).parent / "ray")
_STORE = 100_000_000
# A test run that is killed leaves nothing behind: ``ray start --block`` then ends its node.
# What a host has of its own, in the mount namespace that ``ip netns exec`` gives it; then the command.
_OWN_FILES = """
mount --make-rprivate /
mount -t tmpfs none /dev/shm
for folder in $HIDDEN; do mount -t tmpfs -o mode=1777 none "$folder"; done
cd /
exec "$@"
"""
_DIES_WITH_US = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _checkout() -> list[Path]:
    """Folders of this checkout, less that of the environment with its Python, which may lie in it."""
    environment = Path(sys.prefix)
    return [
        path
        for path in sorted(ROOT.iterdir())
        if path.is_dir() and not path.is_symlink() and not environment.is_relative_to(path)
    ]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


def can_make_hosts() -> bool:
    """Whether this user may make network namespaces here."""
    if os.geteuid() or not shutil.which("ip"):
        return False
    name = f"mmmprobe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made


def can_mount() -> bool:
    """Whether this user may mount a disk of its own here."""
    mount = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt"]
    try:
        return os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@dataclass
class Node:
    """One host of the cluster: what ``ray start --block`` and its children are."""

    address: str
    process: subprocess.Popen[bytes]
    namespace: str | None = None
    cable: str | None = None

    def pids(self, command: str = "") -> list[int]:
        """Living processes of this node whose command line holds ``command``."""
        found = commands(descendants(self.process.pid))
        return sorted(pid for pid, line in found.items() if command in line)

    def busy(self) -> list[int]:
        """Processes of this node that run a task now."""
        found = commands(descendants(self.process.pid))
        return sorted(pid for pid, line in found.items() if line.startswith("ray::_"))

    def kill_raylet(self) -> None:
        """SIGKILL; ``--block`` then ends the rest of the node."""
        for pid in self.pids("raylet/raylet"):
            os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL to all of it at once, as a host that loses power."""
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            _kill(pid)


@dataclass
class RayCluster:
    """A head without CPUs, where drivers run, and workers; see ``ray_cluster``."""

    folder: Path
    ports: Mapping[str, int]
    variables: Mapping[str, str]
    network: _Network | None
    hidden: tuple[Path, ...] = ()
    head: Node = field(init=False)
    workers: list[Node] = field(default_factory=list)
    _lost: list[Node] = field(default_factory=list)

    @property
    def address(self) -> str:
        """host:port that a driver joins."""
        return f"{self.head.address}:{self.ports['gcs']}"

    @property
    def jobs(self) -> str:
        """Address of the job server, on the head's loopback."""
        return f"http://127.0.0.1:{self.ports['dashboard']}"

    def environment(self) -> dict[str, str]:
        """Variables of a driver of this cluster, no others of Ray's among them."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {**kept, **self.variables, "RAY_ADDRESS": self.address}

    def command(self, node: Node, *command: str) -> list[str]:
        """A command as it runs on that host."""
        return [*(["ip", "netns", "exec", node.namespace] if node.namespace else []), *command]

    def start_head(self, dashboard: bool) -> None:
        ports = self.ports
        self.head = self._start(
            0,
            *("--head", "--num-cpus=0", f"--port={ports['gcs']}", f"--include-dashboard={dashboard}"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={ports['dashboard']}"),
            f"--ray-client-server-port={ports['client']}",
        )
        self._until(lambda: bool(_listens(self.head, ports["gcs"])), "the head does not start")

    def add_workers(self, count: int, cpus: int = 1) -> list[Node]:
        """Start more nodes beside each other; returns when all have joined."""
        first = len(self.workers) + len(self._lost) + 1
        new = [
            self._start(first + number, f"--address={self.address}", f"--num-cpus={cpus}")
            for number in range(count)
        ]
        self.workers += new
        logs = [self.folder / f"n{first + number}.log" for number in range(count)]
        self._until(
            lambda: all("Ray runtime started" in log.read_text() for log in logs), "a worker does not join"
        )
        return new

    def busy(self) -> list[int]:
        """Processes that run a task now, on any worker."""
        return [pid for node in self.workers for pid in node.busy()]

    def lose(self, node: Node) -> None:
        """A worker that will not come back."""
        self.workers.remove(node)
        self._lost.append(node)

    def cut(self, node: Node) -> None:
        """Pull the cable of a host: from now on its packets, and those to it, vanish."""
        _ip("-n", self._switch, "link", "set", str(node.cable), "nomaster")

    def mend(self, node: Node) -> None:
        """Put the cable back."""
        _ip("-n", self._switch, "link", "set", str(node.cable), "master", "bridge")

    @property
    def _switch(self) -> str:
        assert self.network is not None, "this cluster has no cables"
        return self.network.switch

    def _start(self, number: int, *options: str) -> Node:
        namespace, address, cable = self.network.host(number) if self.network else (None, "127.0.0.1", None)
        agent, grpc, runtime_env, metrics = free_ports(4)
        with (self.folder / f"n{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *_DIES_WITH_US,
                    *(["ip", "netns", "exec", namespace, "sh", "-ec", _OWN_FILES, "sh"] if namespace else []),
                    *(RAY, "start", "--block", "--disable-usage-stats", "--include-log-monitor=false"),
                    *(f"--node-ip-address={address}", f"--temp-dir={self.folder}/n/{number}"),
                    *(f"--object-store-memory={_STORE}", f"--dashboard-agent-listen-port={agent}"),
                    *(f"--dashboard-agent-grpc-port={grpc}", f"--runtime-env-agent-port={runtime_env}"),
                    *(f"--metrics-export-port={metrics}", *options),
                ],
                env=self.environment_of_nodes() | self._files_of(number),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Node(address, process, namespace, cable)

    def _files_of(self, number: int) -> dict[str, str]:
        """Variables by which a node finds the packages, and what it does not find; the head is the driver's host."""
        if not self.network or number == 0:
            return {"PYTHONPATH": str(ROOT), "HIDDEN": ""}
        hidden = [self.folder / "n", *self.hidden, *_checkout()]
        return {"PYTHONPATH": str(self.folder / "installed"), "HIDDEN": " ".join(map(str, hidden))}

    def install(self) -> None:
        """Put what the package installs, and nothing else of this checkout, where workers find it."""
        (self.folder / "n").mkdir()
        for package in PACKAGES:
            shutil.copytree(ROOT / package, self.folder / "installed" / package)

    def environment_of_nodes(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        installed = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        patience = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0", "RAY_JOB_STOP_WAIT_TIME_S": "30"}
        return {**kept, **self.variables, **installed, **patience}

    def _until(self, holds: Callable[[], bool], sentence: str) -> None:
        end = time.monotonic() + 120
        while not holds():
            if time.monotonic() > end:
                logs = "\n".join(log.read_text()[-1500:] for log in sorted(self.folder.glob("n*.log")))
                raise RuntimeError(f"{sentence}\n{logs}")
            time.sleep(0.2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        nodes = [*self._lost, *self.workers, *([self.head] if hasattr(self, "head") else [])]
        pids = {pid for node in nodes for pid in [node.process.pid, *descendants(node.process.pid)]}
        for pid in pids:
            _kill(pid)
        for node in nodes:
            node.process.wait(timeout=30)
        left = survivors(pids)
        assert not left, f"processes {left} of the cluster do not end"


class _Network:
    """Hosts as network namespaces on one switch, which is a namespace too: nothing of this host's is touched."""

    def __init__(self) -> None:
        self._name = f"mmm{os.getpid() % 100_000}"
        self.switch = f"{self._name}sw"
        self._made: list[str] = []

    def __enter__(self) -> Self:
        self._add(self.switch)
        _ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "bridge", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(self._made):
            subprocess.run(["ip", "netns", "del", name], check=False)

    def host(self, number: int) -> tuple[str, str, str]:
        """(namespace, address, its end of the cable at the switch) of a new host."""
        name, cable, address = f"{self._name}h{number}", f"port{number}", f"10.77.0.{number + 1}"
        self._add(name)
        _ip("link", "add", cable, "netns", self.switch, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("-n", self.switch, "link", "set", cable, "master", "bridge", "up")
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")
        return name, address, cable

    def _add(self, name: str) -> None:
        _ip("netns", "add", name)
        self._made.append(name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _listens(node: Node, port: int) -> bool:
    prefix = ["ip", "netns", "exec", node.namespace] if node.namespace else []
    listing = subprocess.run(
        [*prefix, "ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True
    )
    return bool(listing.stdout.strip())


@contextmanager
def ray_cluster(
    workers: int = 3,
    *,
    hosts: bool = False,
    hidden: tuple[Path, ...] = (),
    dashboard: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Iterator[RayCluster]:
    """A head and worker nodes of one CPU each.

    Args:
        workers: how many nodes beside the head. hosts: each in a network namespace, see ``can_make_hosts``.
        hidden: folders that worker hosts do not see, beside those of the checkout.
        dashboard: with the job server. variables: for all processes of Ray, on top of token and keepalive.
    """
    gcs, client, board = free_ports(3)
    # Not pytest's folder: the path to a socket must be short.
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="c-", ignore_cleanup_errors=True))
        )
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        network = stack.enter_context(_Network()) if hosts else None
        settings = {
            **KEEPALIVE,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            **(variables or {}),
        }
        ports = {"gcs": gcs, "client": client, "dashboard": board}
        cluster = stack.enter_context(RayCluster(folder, ports, settings, network, hidden))
        cluster.install()
        cluster.start_head(dashboard)
        cluster.add_workers(workers)
        yield cluster

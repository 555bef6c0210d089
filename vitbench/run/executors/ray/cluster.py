"""A Ray cluster: how to connect to one, and what its nodes have. Ray is imported on first use."""

from __future__ import annotations

import importlib
import math
import os
import socket
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitbench.run.executors.job import RESUME
from vitbench.utils.errors import UserError

OWN = "local"
"""Ray's word for a cluster of this machine alone, which ends with this process."""

ANSWER_S = 20.0
"""Seconds for a cluster to answer; Ray itself would try for two minutes and then end the process."""

LOOK_S = 2.0
"""Seconds between two looks at the nodes."""

GONE_S = 20.0
"""Seconds without an answer after which the head counts as lost."""

QUIET = {"logging_level": "ERROR", "log_to_driver": False}

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # Ray's own messages about losses in the driver's terminal: we report these
}
"""Ray's environment variables, unless they are set already; Ray reads the second one when it is imported."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A live node and all that it has, in use or not."""

    id: str
    name: str
    host: str
    cores: int
    gpus: int
    memory_bytes: int


def ray() -> types.ModuleType:
    """The module ``ray``.

    Raises:
        UserError: it is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError(f"--executor ray needs Ray ({error}): type pip install vitbench[ray]") from error


def connect(address: str | None = None) -> None:
    """Connects to the cluster at an address, or starts one of this machine alone.

    Args:
        address: ``host:port`` of the head node, or ``auto`` for the cluster that this machine is part of; None: the
            address in RAY_ADDRESS, otherwise a cluster of this machine alone.

    Raises:
        UserError: Ray is not installed, or no usable cluster answers in time.
    """
    module = ray()
    address = address or os.environ.get("RAY_ADDRESS") or OWN
    if address != OWN:
        _check_address(address)
    own: dict[str, Any] = {"include_dashboard": False} if address == OWN else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about future defaults of Ray
            module.init(address, **own, **QUIET)
    except (Exception, SystemExit) as error:
        raise UserError(f"Ray at {address} cannot be used: {last_line(str(error))}") from error


class Cluster:
    """The cluster that this process is connected to.

    Ray waits for a lost head, and after a minute ends the process that asks. So the head is asked over a plain socket
    first.
    """

    def __init__(self) -> None:
        host, _, port = ray().get_runtime_context().gcs_address.rpartition(":")
        self._head = host.strip("[]"), int(port)
        self._nodes: list[Node] = []
        self._looked, self._answered = -math.inf, time.monotonic()

    @property
    def nodes(self) -> list[Node]:
        """The live nodes, as known ``LOOK_S`` ago at the latest.

        Raises:
            UserError: the head has not answered for ``GONE_S``.
        """
        time_now = time.monotonic()
        if time_now - self._looked > LOOK_S:
            self._looked = time_now
            if self.answers():
                self._nodes, self._answered = live_nodes(), time_now
            elif time_now - self._answered > GONE_S:
                raise UserError(
                    f"the head of the Ray cluster ({self._head[0]}:{self._head[1]}) is lost: restart it; {RESUME}"
                )
        return self._nodes

    def answers(self) -> bool:
        """Whether the head answers."""
        try:
            socket.create_connection(self._head, timeout=LOOK_S).close()
        except OSError:
            return False
        return True


def live_nodes() -> list[Node]:
    """The live nodes of the cluster, the one of this process first, then by their cores."""
    module = ray()
    here = module.get_runtime_context().get_node_id()
    found = [
        Node(
            id=node["NodeID"],
            name=node["NodeName"],
            host=node["NodeManagerHostname"],
            cores=int(node["Resources"].get("CPU", 0)),
            gpus=int(node["Resources"].get("GPU", 0)),
            memory_bytes=int(node["Resources"].get("memory", 0)),
        )
        for node in module.nodes()
        if node["Alive"]
    ]
    return sorted(found, key=lambda node: (node.id != here, -node.cores, node.id))


def timing_node(nodes: Sequence[Node], gpus: float, before: str | None = None) -> Node | None:
    """The node for timings: the same as before while it lives, otherwise the scheduler's own, otherwise the largest.

    Args:
        nodes: the result of ``live_nodes``.
        gpus: the number of GPUs that the timing needs.
        before: the id of the node that timed so far.
    """
    able = [node for node in nodes if node.cores >= 1 and node.gpus >= gpus]
    return next((node for node in able if node.id == before), able[0] if able else None)


def _check_address(address: str) -> None:
    """Connects in another process, because Ray ends a process that cannot connect.

    Raises:
        UserError: no usable cluster answers in time.
    """
    advice = "type the head node's HOST:PORT, as `ray start --head` printed it, or leave --ray-address out"
    if "://" in address:
        raise UserError(
            f"Ray at {address} cannot be used: run the command on a machine of the cluster, and type --ray-address auto"
        )
    host, colon, port = address.rpartition(":")
    if address != "auto":
        if not (colon and host and port.isdigit()):
            raise UserError(f"{address!r} is not an address of a Ray cluster: {advice}")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S / 4).close()
        except (OSError, OverflowError) as error:
            raise UserError(f"no Ray cluster answers at {address} ({error}): {advice}") from error
    code = f"import ray; ray.init({address!r}, **{QUIET!r})"
    try:
        done = subprocess.run(  # noqa: S603  # this interpreter, our code
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"no Ray cluster answers at {address} within {ANSWER_S:g} s: {advice}") from None
    if done.returncode != 0:
        raise UserError(f"Ray at {address} cannot be used: {last_line(done.stderr)}; {advice}")


def last_line(text: str) -> str:
    """The last line of an error message, which usually names the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "no reason given").rstrip(".")

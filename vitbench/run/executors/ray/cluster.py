"""A Ray cluster as this package sees it: how to reach one, and what its nodes have. Imports Ray when it is asked."""

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

from vitbench.utils.errors import UserError

OWN = "local"
"""Ray's word for a cluster of this machine alone, which ends with this process."""

ANSWER_S = 20.0
"""Seconds within which a cluster must answer; Ray itself would try for two minutes, and then end the process."""

LOOK_S = 2.0
"""Seconds for which what is known of the nodes stays good."""

GONE_S = 20.0
"""Seconds without an answer after which a head is gone."""

QUIET = {"logging_level": "ERROR", "log_to_driver": False}

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody was asked
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # of what raylets print to the driver's terminal: a loss is told once, by us
}
"""Environment variables of Ray's, unless they are set already; the second is read when it is imported."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node that lives: what it has in all, whoever uses it now."""

    id: str
    name: str
    host: str
    cores: int
    gpus: int
    memory_bytes: int


def ray() -> types.ModuleType:
    """Ray's module.

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
    """Joins the cluster at an address, or starts one of this machine alone.

    Args:
        address: ``host:port`` of the head node, or ``auto`` for the cluster that this machine is part of; default what
            RAY_ADDRESS says, else a cluster of its own.

    Raises:
        UserError: Ray is not installed, or nothing that can be used answers in time.
    """
    module = ray()
    address = address or os.environ.get("RAY_ADDRESS") or OWN
    if address != OWN:
        _check(address)
    own: dict[str, Any] = {"include_dashboard": False} if address == OWN else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about Ray's own future defaults
            module.init(address, **own, **QUIET)
    except (Exception, SystemExit) as error:
        raise UserError(f"Ray at {address} cannot be used: {last_line(str(error))}") from error


class Joined:
    """The cluster that this process has joined; its nodes are looked at now and then.

    Ray waits for a head that has gone, and after a minute it ends the process that asks; so it is not asked.
    """

    def __init__(self) -> None:
        host, _, port = ray().get_runtime_context().gcs_address.rpartition(":")
        self._head = host.strip("[]"), int(port)
        self._nodes: list[Node] = []
        self._looked, self._answered = -math.inf, time.monotonic()

    @property
    def nodes(self) -> list[Node]:
        """That live, as it was known ``LOOK_S`` ago at the latest.

        Raises:
            UserError: the head has not answered for ``GONE_S``.
        """
        time_now = time.monotonic()
        if time_now - self._looked > LOOK_S:
            self._looked = time_now
            if self.answers():
                self._nodes, self._answered = nodes(), time_now
            elif time_now - self._answered > GONE_S:
                raise UserError(
                    f"the head of the Ray cluster ({self._head[0]}:{self._head[1]}) is gone; what was recorded is "
                    "kept, the same command goes on from there once there is one again"
                )
        return self._nodes

    def answers(self) -> bool:
        """Whether the head is there."""
        try:
            socket.create_connection(self._head, timeout=LOOK_S).close()
        except OSError:
            return False
        return True


def nodes() -> list[Node]:
    """The nodes of the cluster that live, the one of this process first, then by their cores."""
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


def for_timing(found: Sequence[Node], gpus: float, before: str | None = None) -> Node | None:
    """The node that times: the same as before while it lives, else the scheduler's own, else the largest.

    Args:
        found: as ``nodes`` gives them.
        gpus: that are needed.
        before: the id of the node that timed until now.
    """
    able = [node for node in found if node.cores >= 1 and node.gpus >= gpus]
    return next((node for node in able if node.id == before), able[0] if able else None)


def _check(address: str) -> None:
    """Asks in another process, since Ray ends the one that asks in vain.

    Raises:
        UserError: nothing that can be used answers in time.
    """
    known = "type the head node's HOST:PORT, as `ray start --head` printed it, or leave --ray-address out"
    if "://" in address:
        raise UserError(
            f"Ray at {address} cannot be used: run the command on a machine of the cluster, and type --ray-address auto"
        )
    host, colon, port = address.rpartition(":")
    if address != "auto":
        if not (colon and host and port.isdigit()):
            raise UserError(f"{address!r} is no address of a Ray cluster: {known}")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S / 4).close()
        except (OSError, OverflowError) as error:
            raise UserError(f"no Ray cluster answers at {address} ({error}): {known}") from error
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
        raise UserError(f"no Ray cluster answers at {address} within {ANSWER_S:g} s: {known}") from None
    if done.returncode != 0:
        raise UserError(f"Ray at {address} cannot be used: {last_line(done.stderr)}; {known}")


def last_line(text: str) -> str:
    """The last line of an error, which says what it was."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "it does not say why").rstrip(".")

"""Trials as tasks of Ray, on real clusters on this machine: the same records, whatever ends in between."""

import contextlib
import dataclasses
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.support.check_faults import check_every_fault_has_its_status
from tests.support.processes import alive, with_variable
from tests.support.tiny_training import FAULTY_MODELS, forty, taught
from vitbench import ablate, load
from vitbench.records.reader import read, read_environments
from vitbench.run import Observer, execute
from vitbench.run.executors import open_executor, run_all
from vitbench.run.executors.job import Job
from vitbench.run.executors.ray import cluster as ray_cluster
from vitbench.run.executors.ray.cluster import Node, timing_node
from vitbench.run.executors.ray.payload import SchedulerInfo
from vitbench.utils.errors import UserError

if importlib.util.find_spec("ray") is None:  # looked for, not imported: it changes the path that others import from
    pytest.skip("the extra ray is not installed", allow_module_level=True)


JOBS = '''
import os, pathlib, time

def sleeps(seconds, on):
    time.sleep(seconds)

def says_who_runs_it(path, on):
    """The process that this one's server is a child of: Ray's worker."""
    server = pathlib.Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]
    pathlib.Path(path).write_text(server)
    time.sleep(600)
'''

ANSWER = """
def give(payload, on):
    return payload * 2
"""


NODE = {"num_cpus": 1, "object_store_memory": 100 << 20}


@pytest.fixture(scope="module")
def cluster():
    """A head of one core, and a second node; its processes end with it, whatever a test did to them."""
    from ray.cluster_utils import Cluster

    ray_cluster.ray()
    made = Cluster(initialize_head=True, head_node_args={**NODE, "node_name": "one", "include_dashboard": False})
    made.add_node(**NODE, node_name="two")
    yield made
    made.shutdown()
    until(lambda: not alive(f"--gcs-address={made.address}"))


@pytest.fixture(scope="module")
def on_ray(cluster, tmp_path_factory):
    """Connected to it. The folder of the jobs' modules is gone when the first one starts."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "package" / "inner").mkdir(parents=True)
    (folder / "package" / "__init__.py").touch()
    for name, text in {
        "faults.py": FAULTY_MODELS.read_text(),
        "jobs.py": JOBS,
        "package/inner/answer.py": ANSWER,
    }.items():
        (folder / name).write_text(text)
    with open_executor("ray", address=cluster.address, threads=1, import_path=folder) as executor:
        shutil.rmtree(folder)
        yield executor


@pytest.fixture
def both(cluster, on_ray):
    """Both nodes alive, with a warm worker process each."""
    if not cluster.worker_nodes:
        cluster.add_node(**NODE, node_name="two")
    until(lambda: on_ray.cores == 2)
    assert [result.status for _, result in run_all(on_ray, [Job(function="jobs:sleeps", payload=1)] * 2, 2)] == [
        "ok"
    ] * 2
    return next(iter(cluster.worker_nodes))


def next_of(executor):
    """Key and result of the only job that runs."""
    while not (ended := executor.wait()):
        pass
    ((key, result),) = ended
    return key, result


def until(holds, seconds=20.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


def table(folder):
    """What the table says, less times."""
    found = load(folder)
    return found[[c for c in found.columns if "seconds" not in c and "latency" not in c]]


class Killer(Observer):
    """Does it once half of them have begun."""

    def __init__(self, do):
        self.begun, self.do = 0, do

    def started(self, trial):
        self.begun += 1
        if self.begun == 20:
            self.do()


@pytest.mark.nightly("ray")
def test_a_node_is_killed_half_way_and_the_table_is_the_local_one(tmp_path, cluster, on_ray, both, shared):
    watch = Killer(lambda: cluster.remove_node(both, allow_graceful=False))
    run = {"name": "forty", "kinds": ("accuracy",)}
    outcome = execute(forty(), directory=tmp_path / "ray", executor=on_ray, watch=watch, **run)
    assert (outcome.done, outcome.failed, outcome.left) == (40, 0, 0)
    execute(forty(), directory=tmp_path / "local", executor=shared, **run)

    far, near = ([r for r in read(tmp_path / where) if r.kind == "accuracy"] for where in ("ray", "local"))
    assert sorted(r.id for r in far) == sorted(r.id for r in near)
    assert len({r.id for r in far}) == len(far) == 40
    assert {r.id: r.samples for r in far} == {r.id: r.samples for r in near}
    assert table(tmp_path / "ray").equals(table(tmp_path / "local"))

    bodies = read_environments(tmp_path / "ray")
    used = [bodies[r.environment] for r in far]
    assert Counter(body["node"] for body in used).keys() == {"one", "two"}
    assert all(dict(body, node="") == dict(used[0], node="") for body in used)
    (own,) = read_environments(tmp_path / "local").values()
    assert dict(used[0], node="") == dict(own, node="")


@pytest.mark.nightly("ray")
def test_every_fault_has_its_status(tmp_path, on_ray, sweep_of):
    check_every_fault_has_its_status(tmp_path / "r", on_ray, sweep_of)


@pytest.mark.nightly("ray")
def test_models_travel_by_the_scheduler(tmp_path, on_ray, shared):
    outcome = execute(taught(), name="t", directory=tmp_path / "ray", executor=on_ray, kinds=("accuracy",))
    execute(taught(), name="t", directory=tmp_path / "local", executor=shared, kinds=("accuracy",))
    assert (outcome.done, outcome.failed) == (6, 0)
    far, near = ({r.id: r.samples for r in read(tmp_path / w) if r.kind == "accuracy"} for w in ("ray", "local"))
    assert far == near
    far, near = ({file.name: file for file in (tmp_path / w / "weights").iterdir()} for w in ("ray", "local"))
    assert far.keys() == near.keys()
    for name, file in far.items():
        ours, theirs = load_file(file), load_file(near[name])
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.nightly("ray")
def test_modules_travel_where_their_folder_is_not_there(on_ray):
    on_ray.submit(Job(function="package.inner.answer:give", payload=21))
    _, result = next_of(on_ray)
    assert (result.status, result.value, result.environment) == ("ok", 42, None)


def test_modules_stay_where_their_folder_is_there_and_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.py").write_bytes(b"# \xff\r\n")
    home = SchedulerInfo.of(1, folder)
    elsewhere = dataclasses.replace(home, directory=str(tmp_path / "gone"))
    assert elsewhere.set_up_node() == folder
    assert Path.cwd() == tmp_path
    (folder / "model.py").write_text("changed")
    copy = home.set_up_node()
    assert copy != folder
    assert (copy / "model.py").read_bytes() == b"# \xff\r\n"
    shutil.rmtree(copy)
    assert SchedulerInfo.of(1, None).set_up_node() is None


@pytest.mark.nightly("ray")
def test_a_lost_worker_is_told_from_a_failed_job(tmp_path, on_ray):
    told = tmp_path / "worker"
    key = on_ray.submit(Job(function="jobs:says_who_runs_it", payload=str(told)))
    until(lambda: told.is_file() and told.read_text())
    os.kill(int(told.read_text()), signal.SIGKILL)
    ended, result = next_of(on_ray)
    assert (ended, result.status, result.lost) == (key, "failed", True)
    assert "worker died" in result.reason
    assert len(on_ray) == 0


@pytest.mark.nightly("ray")
def test_a_node_that_joins_is_seen_at_once(cluster, on_ray):
    on_ray.submit(Job(function="jobs:sleeps", payload=600))
    on_ray.wait(timeout=0.1)
    before = on_ray.cores
    node = cluster.add_node(**NODE, node_name="three")
    try:
        assert on_ray.wait(timeout=600) == []  # which no test has time for
        assert on_ray.cores == before + 1
    finally:
        on_ray.cancel()
        cluster.remove_node(node)
        until(lambda: on_ray.cores == before)


@pytest.mark.nightly("ray")
def test_what_is_timed_has_one_node_to_itself(tmp_path, on_ray, both, sweep_of):
    run = {"name": "t", "directory": tmp_path / "r", "executor": on_ray, "kinds": ("ceiling", "latency")}
    outcome = execute(sweep_of("good", "sociable"), **run)
    assert outcome.failed == 0
    timed = {r.environment for r in read(tmp_path / "r") if r.kind in {"ceiling", "latency", "latency_control"}}
    (name,) = timed
    assert read_environments(tmp_path / "r")[name]["node"] == "one"  # the scheduler's own
    nodes = {node.name: node for node in on_ray.nodes}
    needs = on_ray._needs(Job(function="jobs:sleeps", alone=True))
    assert needs["num_cpus"] == nodes["one"].cores
    assert needs["scheduling_strategy"].node_id == nodes["one"].id


def test_which_node_times():
    small, large = (Node(id=str(n), name="", host="", cores=n, gpus=n // 4, memory_bytes=0) for n in (2, 8))
    none = dataclasses.replace(small, id="0", cores=0)
    assert timing_node([none, small, large], 0) == small
    assert timing_node([none, small, large], 0, before="8") == large
    assert timing_node([none, small], 0, before="8") == small
    assert timing_node([small, large], 1) == large
    assert timing_node([small], 1) is None


@pytest.mark.nightly("ray")
def test_what_no_node_has_ends_the_run_in_one_sentence(on_ray):
    with pytest.raises(UserError, match="no node of the Ray cluster has 1 GPU: start one that has"):
        on_ray.submit(Job(function="jobs:sleeps", payload=0, gpus=1.0))
    assert len(on_ray) == 0


@pytest.mark.nightly("ray")
def test_a_node_with_another_vitbench_ends_the_run_in_one_sentence(on_ray, monkeypatch):
    import ray

    other = dataclasses.replace(SchedulerInfo.of(1, None), installed="vitbench 9.9 (models 7)")
    monkeypatch.setattr(on_ray, "_scheduler", ray.put(other))
    on_ray.submit(Job(function="jobs:sleeps", payload=0))
    with pytest.raises(UserError, match=r"node (one|two) has vitbench .*, the scheduler vitbench 9\.9 .*: install the"):
        next_of(on_ray)


DRIVER = """
from pathlib import Path
import sys
from tests.support.tiny_training import forty
from vitbench.run import execute
from vitbench.run.executors import open_executor

with open_executor("ray", address=sys.argv[1], threads=1, import_path=None) as executor:
    execute(forty(seeds=3), name="forty", directory=Path(sys.argv[2]), executor=executor, kinds=("accuracy",))
"""


@pytest.mark.nightly("ray")
def test_a_killed_driver_leaves_no_task_behind_and_goes_on(tmp_path, cluster, on_ray):
    import ray

    folder = tmp_path / "r"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, cluster.address, str(folder)])
    try:
        until(lambda: (folder / "records.jsonl").is_file() and len(read(folder)) > 4, seconds=60)
    finally:
        driver.kill()
        driver.wait()
    recorded = {r.id for r in read(folder) if r.kind == "accuracy"}
    until(lambda: ray.available_resources().get("CPU") == on_ray.cores)  # its tasks are gone, and the cores free
    outcome = execute(forty(seeds=3), name="forty", directory=folder, executor=on_ray, kinds=("accuracy",))
    assert (outcome.reused, outcome.done, outcome.failed) == (len(recorded), 12 - len(recorded), 0)
    assert Counter(r.id for r in read(folder) if r.kind == "accuracy").most_common(1)[0][1] == 1


ABLATION = """
from vitbench import Ablation, ViTConfig
ABLATION = Ablation(question="?", axes={"depth": (1, 2)}, data="digits", seeds=1,
    baseline=ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2))
"""


def command(tmp_path, *options):
    (tmp_path / "mine.py").write_text(ABLATION)
    results = tmp_path / "r"
    return ablate.main([str(tmp_path / "mine.py"), "--dry-run", "--results", str(results), "--device", "cpu", *options])


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "'nonsense' is not an address of a Ray cluster: type the head node's HOST:PORT"),
        ("127.0.0.1:port", "is not an address"),
        ("127.0.0.1:99999", "no Ray cluster answers at 127.0.0.1:99999"),
        ("ray://127.0.0.1:10001", "run the command on a machine of the cluster"),
    ],
)
def test_an_address_that_cannot_be(tmp_path, capsys, address, said):
    assert command(tmp_path, "--executor", "ray", "--ray-address", address) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_address_where_nobody_is(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert command(tmp_path, "--executor", "ray", "--ray-address", f"127.0.0.1:{port}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no Ray cluster answers at 127.0.0.1:{port} ([Errno 111] Connection refused)" in line


def test_an_address_where_somebody_says_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ray_cluster, "ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert command(tmp_path, "--executor", "ray", "--ray-address", f"127.0.0.1:{port}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no Ray cluster answers at 127.0.0.1:{port} within 0.5 s" in line  # Ray itself takes two minutes


def test_an_address_without_ray_is_a_mistake(tmp_path, capsys):
    assert command(tmp_path, "--ray-address", "127.0.0.1:6379") == 2
    assert "type --executor ray too" in capsys.readouterr().err


@pytest.mark.nightly("ray")
def test_a_laptop_has_a_cluster_of_its_own(tmp_path):
    """The command; of Ray nothing is printed, and nothing is left running."""
    (tmp_path / "mine.py").write_text(ABLATION)
    done = subprocess.run(
        [sys.executable, "-m", "vitbench.ablate", str(tmp_path / "mine.py"), "--dry-run", "--executor", "ray"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
        | {"VITBENCH_TEST": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "depth=2" in done.stdout
    assert "ray" not in done.stdout
    until(lambda: not with_variable(f"VITBENCH_TEST={tmp_path}"))


@pytest.mark.nightly("ray")
def test_ray_is_loaded_only_when_asked_for(tmp_path):
    (tmp_path / "mine.py").write_text(ABLATION)
    code = f"""
import sys
if {{blocked}}:
    sys.modules["ray"] = None
from vitbench.ablate import main
options = ["--dry-run", "--results", {str(tmp_path / "r")!r}, "--executor", {{executor!r}}]
status = main([{str(tmp_path / "mine.py")!r}, *options])
print([name for name in sys.modules if name == "ray" or name.startswith("ray.")], status)
"""

    def run(**given):
        return subprocess.run([sys.executable, "-c", code.format(**given)], capture_output=True, text=True, check=True)

    assert run(blocked=False, executor="local").stdout.splitlines()[-1] == "[] 0"
    without = run(blocked=True, executor="ray")
    assert without.stdout.splitlines()[-1].endswith("2")
    assert without.stderr.count("\n") == 1
    assert "pip install vitbench[ray]" in without.stderr


HEADLESS = """
import os, signal, sys
from pathlib import Path
from tests.support.processes import alive
from vitbench.run.executors import open_executor
from vitbench.run.executors.job import Job
from vitbench.run.executors.ray import cluster as ray_cluster
from vitbench.utils import cli

def waits():
    with open_executor("ray", threads=1, import_path=Path(sys.argv[1])) as executor:
        executor.submit(Job(function="jobs:sleeps", payload=600))
        ray_cluster.GONE_S = 1.0
        (head,) = alive(f"gcs_server --log_dir={ray_cluster.ray()._private.worker._global_node.get_logs_dir_path()}")
        os.kill(head, signal.SIGKILL)
        while True:
            executor.wait()

sys.exit(cli.run(waits))
"""


@pytest.mark.nightly("ray")
def test_a_head_that_is_gone_ends_the_run_in_one_sentence(tmp_path):
    (tmp_path / "jobs.py").write_text(JOBS)
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    line = [sys.executable, "-c", HEADLESS, str(tmp_path)]
    done = subprocess.run(
        line,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment | {"VITBENCH_TEST": str(tmp_path)},
    )
    assert done.returncode == 2, done.stderr
    assert "is lost: restart it; recorded results are kept; run the same command to resume" in done.stderr
    mark = f"VITBENCH_TEST={tmp_path}"
    until(lambda: not {*alive("vitbench.run")} & {*with_variable(mark)})
    for process in with_variable(mark):  # Ray's agents look for the head for a minute before they end
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    until(lambda: not with_variable(mark))

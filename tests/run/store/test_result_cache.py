"""Results of another results folder are reused if they are valid here; the other folder is never changed."""

import dataclasses
import functools
import json
import re
import shutil
import time

import pytest

from tests.support.tiny_training import CNN, ablation, taught
from tests.tables import many
from vitbench.declare.tuning import Tuning
from vitbench.records.identity import SCHEMA
from vitbench.records.reader import RECORDS, read, read_environments
from vitbench.records.record import Environment
from vitbench.report.verify_records import artifacts, records
from vitbench.run import Observer, execute, plan, run_preflight
from vitbench.run.planning.plan import make_plan
from vitbench.run.store.lock import move_aside
from vitbench.run.store.result_cache import ResultCache
from vitbench.run.store.writer import Writer

APART = ("cost", "memory", "accuracy")


class Notes(Observer):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


def run(declared, name, root, executor, *, kinds=APART, shared=True):
    watch = Notes()
    options = {"name": name, "directory": root / name, "executor": executor, "kinds": kinds, "watch": watch}
    outcome = execute(declared, reuse_from=root if shared else None, **options)
    return outcome, watch.said


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def depths(tmp_path_factory, shared):
    """A results folder with one ablation in it: depth 1, which is the baseline, and depth 2."""
    root = tmp_path_factory.mktemp("results")
    run(ablation(axes={"depth": (1, 2)}), "depth", root, shared)
    return root


@pytest.fixture
def root(depths, tmp_path):
    return shutil.copytree(depths, tmp_path / "results")


WIDER = ablation(axes={"mlp_ratio": (4.0, 2.0)})


def test_a_baseline_that_ablations_share_is_trained_once(root, shared):
    before = files(root / "depth")
    outcome, said = run(WIDER, "mlp", root, shared)
    assert said == [f"reused from {root / 'depth'}: 1 count, 1 memory reading, 1 training"]
    assert (outcome.done, outcome.reused, outcome.failed) == (3, 3, 0)
    theirs = {r.kind: r for r in read(root / "depth") if r.variant == "depth=1"}
    ours = {r.kind: r for r in read(root / "mlp") if r.source}
    assert ours.keys() == theirs.keys() == set(APART)
    for kind, record in ours.items():
        here = {"ablation": "mlp", "variant": "mlp_ratio=4", "axes": {"mlp_ratio": 4.0}, "source": "depth"}
        assert record == dataclasses.replace(theirs[kind], **here)
    (name,) = ours["accuracy"].artifacts
    assert (root / "mlp" / "artifacts" / name).read_bytes() == (root / "depth" / "artifacts" / name).read_bytes()
    held, wrong, _ = records(root / "mlp")
    assert wrong == artifacts(root / "mlp", held)[1] == []
    assert files(root / "depth") == before
    assert run(WIDER, "mlp", root, shared)[0].done == 0


@pytest.mark.slow
def test_a_reused_record_keeps_naming_the_folder_that_measured_it(root, shared):
    run(WIDER, "mlp", root, shared)
    shutil.rmtree(root / "depth")
    run(ablation(axes={"num_heads": (2, 4)}), "heads", root, shared)
    assert {r.source for r in read(root / "heads") if r.variant == "num_heads=2"} == {"depth"}


def test_a_dry_run_names_what_it_would_reuse_and_writes_nothing(root, shared):
    before = files(root)
    made = plan(WIDER, name="mlp", directory=root / "mlp", executor=shared, kinds=APART, reuse_from=root)
    assert made.counts == {"cost": 1, "memory": 1, "accuracy": 1}
    assert made.reuse_notes == (f"reused from {root / 'depth'}: 1 count, 1 memory reading, 1 training",)
    alone = plan(WIDER, name="mlp", directory=root / "mlp", executor=shared, kinds=APART)
    assert alone.counts == {"cost": 2, "memory": 2, "accuracy": 2}
    assert files(root) == before


@pytest.mark.slow
def test_timings_are_never_reused(root, shared):
    for name, counts in (("one", 1), ("two", 0)):
        outcome, _ = run(WIDER, name, root, shared, kinds=("cost", "latency"))
        assert outcome.done == counts + 1
        assert {r.kind for r in read(root / name) if r.source} == {"cost"}


@pytest.fixture(scope="module")
def preflight(shared):
    return run_preflight(shared, "digits")


@pytest.fixture
def search(root, preflight):
    """The kinds of the folder's reusable records, and the notes."""

    def look():
        replan = functools.partial(make_plan, WIDER, preflight, name="mlp", seeds=1, kinds=APART)
        made = replan()
        cache = ResultCache(made, root / "mlp", root)
        before = files(root)
        found = [rows[0].kind for _, rows in cache.find(made, [])]
        assert files(root) == before
        return found, cache.notes()

    return look


def rewritten(folder, change):
    """The folder's records, each with the changes that the function gives."""
    own = [dataclasses.replace(r, **change(r)) for r in read(folder)]
    (folder / RECORDS).write_bytes(b"".join(r.line().encode() + b"\n" for r in own))


def test_with_other_package_versions_only_counts_are_reused(root, search):
    (body,) = read_environments(root / "depth").values()
    other = Environment({**body, "packages": {**body["packages"], "torch": "1.0"}})
    line = json.dumps({"hash": other.hash, "body": other.body})
    (root / "depth" / "environments.jsonl").write_text(line + "\n")
    rewritten(root / "depth", lambda _: {"environment": other.hash})
    found, said = search()
    assert found == ["cost"]
    assert said[0] == f"reused from {root / 'depth'}: 1 count"
    for sentence, what in zip(said[1:], ("1 memory reading", "1 training"), strict=True):
        assert sentence.startswith(f"not reused from {root / 'depth'}, but measured again here: {what}, because torch")
        assert "differs (1.0 against" in sentence


def test_results_of_another_machine_with_the_same_versions_are_reused(root, search):
    (body,) = read_environments(root / "depth").values()
    other = Environment({**body, "host": "elsewhere", "cpu": {"model": "another"}})
    (root / "depth" / "environments.jsonl").write_text(json.dumps({"hash": other.hash, "body": other.body}) + "\n")
    rewritten(root / "depth", lambda _: {"environment": other.hash})
    assert search()[0] == list(APART)


def no_environments(folder):
    (folder / "environments.jsonl").unlink()


def other_environment(folder):
    path = folder / "environments.jsonl"
    path.write_text(path.read_text().replace('"threads":1', '"threads":7'))


def changed_artifact(folder):
    for path in (folder / "artifacts").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")


def no_artifact(folder):
    shutil.rmtree(folder / "artifacts")


def undigested(folder):
    rewritten(folder, lambda _: {"digests": {}})


def changed_values(folder):
    path = folder / RECORDS
    path.write_text(path.read_text().replace('"num_test":360', '"num_test":361'))


def failed(folder):
    rewritten(folder, lambda r: {"status": "failed"} if r.kind == "accuracy" else {})


@pytest.mark.parametrize(
    ("damage", "kinds", "words"),
    [
        (no_environments, [], "environment .* is missing or changed"),
        (other_environment, [], "environment .* is missing or changed"),
        (changed_artifact, ["cost", "memory"], "the artifact .* is missing or changed"),
        (no_artifact, ["cost", "memory"], "the artifact .* is missing or changed"),
        (undigested, ["cost", "memory"], "the artifact .* is missing or changed"),
        (changed_values, ["cost", "memory"], "its checksum does not match"),
        (failed, ["cost", "memory"], "memory reading"),
    ],
)
def test_damaged_results_are_measured_again_and_the_note_says_why(root, search, damage, kinds, words):
    damage(root / "depth")
    found, said = search()
    assert found == kinds
    assert re.search(words, " ".join(said))


def foreign(folder):
    path = folder / RECORDS
    path.write_text("hello\n" + path.read_text())


def newer(folder):
    path = folder / RECORDS
    first, rest = path.read_text().split("\n", 1)
    path.write_text(first.replace(f'"schema":{SCHEMA}', f'"schema":{SCHEMA + 1}') + "\n" + rest)


def binary(folder):
    (folder / RECORDS).write_bytes(bytes(range(256)) * 8)


def a_folder(folder):
    (folder / RECORDS).unlink()
    (folder / RECORDS).mkdir()


def no_environment(folder):
    (folder / "environments.jsonl").write_text("what\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (foreign, "line 1 of .* is not a vitbench record"),
        (newer, "line 1 of .* by a newer vitbench .schema 3"),
        (binary, "line 1 of .* is not a vitbench record"),
        (a_folder, "Is a directory"),
        (no_environment, "line 1 describes no environment"),
    ],
)
def test_nothing_is_reused_from_an_unreadable_folder(root, search, damage, words):
    damage(root / "depth")
    found, (said,) = search()
    assert found == []
    with pytest.raises(AssertionError, match=rf"nothing is reused from .*depth: .*{words}"):
        raise AssertionError(said)


def test_nothing_is_reused_from_a_folder_while_it_is_written(root, search):
    with Writer(root / "depth"):
        found, (said,) = search()
        assert found == []
        assert f"nothing is reused from {root / 'depth'}: process" in said
    assert search()[0] == list(APART)


def test_the_whole_lines_of_a_torn_file_are_reused(root, search):
    lines = (root / "depth" / RECORDS).read_bytes().splitlines(keepends=True)
    (root / "depth" / RECORDS).write_bytes(b"".join(lines) + lines[1][:90])
    found, said = search()
    assert found == list(APART)
    assert "the last line of" in said[0]
    assert "torn by a crash" in said[0]


def test_a_folder_that_was_moved_aside_is_ignored(root, search):
    move_aside(root / "depth")
    assert search() == ([], ())


def test_an_intact_folder_replaces_a_damaged_one(root, search):
    shutil.copytree(root / "depth", root / "earlier")
    changed_artifact(root / "depth")
    found, said = search()
    assert found == list(APART)
    assert not any("again" in sentence for sentence in said)


@pytest.mark.slow
def test_a_teacher_is_reused_with_its_model(tmp_path, shared):
    run(taught(), "one", tmp_path, shared, kinds=("accuracy",))
    declared = taught(combined={"hard": {"train.distillation": "hard", "train.teacher": "variant:cnn"}})
    options = {"name": "two", "executor": shared, "kinds": ("accuracy",), "reuse_from": tmp_path}
    assert plan(declared, directory=tmp_path / "two", **options).counts == {"accuracy": 2}
    outcome, said = run(declared, "two", tmp_path, shared, kinds=("accuracy",))
    assert said == [f"reused from {tmp_path / 'one'}: 4 trainings"]
    assert (outcome.done, outcome.failed) == (2, 0)
    found = {(r.variant, r.seed): r for r in read(tmp_path / "two") if r.kind == "accuracy"}
    for seed in range(2):
        name = f"{found['cnn', seed].id}.safetensors"
        assert found["cnn", seed].source == "one"
        one, two = ((tmp_path / run / "weights" / name).read_bytes() for run in ("one", "two"))
        assert one == two

    shutil.rmtree(tmp_path / "one" / "weights")
    alone = taught(combined={"hard": {"train.distillation": "hard", "train.teacher": "variant:cnn"}}, seeds=1)
    shutil.rmtree(tmp_path / "two")
    outcome, _ = run(alone, "two", tmp_path, shared, kinds=("accuracy",))
    assert outcome.done == 2  # the teacher's record is there, its model is not: it is trained again
    assert len([r for r in read(tmp_path / "two") if r.kind == "accuracy"]) == 3


@pytest.mark.slow
def test_tuning_tries_are_reused_and_then_the_accuracies_that_they_chose(tmp_path, shared):
    tuning = Tuning(tries=2, lr=(1e-3, 1e-2))
    kinds = ("accuracy", "tuning")
    run(ablation(tuning=tuning), "one", tmp_path, shared, kinds=kinds)
    declared = ablation(tuning=tuning, references={"cnn": CNN})
    outcome, said = run(declared, "two", tmp_path, shared, kinds=kinds)
    one, two = ([r for r in read(tmp_path / name) if r.kind in kinds] for name in ("one", "two"))
    assert {r.id for r in one} == {r.id for r in two if r.source}
    assert (outcome.done, outcome.failed) == (len({r.id for r in two if not r.source}), 0)
    assert {r.settings["recipe"] for r in two if r.kind == "accuracy" and r.source} == {"same", "tuned"}
    trained = len({r.id for r in one if r.kind == "accuracy"})  # one, where the recipe's own values won
    assert said == [f"reused from {tmp_path / 'one'}: {trained} training{'s' * (trained > 1)}, 2 tuning tries"]


def test_searching_a_large_folder_is_faster_than_reading_it(tmp_path, preflight):
    many.write(tmp_path / "many", 3000)
    made = make_plan(WIDER, preflight, name="mlp", seeds=1, kinds=APART)

    def took(function):
        start = time.process_time()
        function()
        return time.process_time() - start

    def search():
        assert list(ResultCache(made, tmp_path / "mlp", tmp_path).find(made, [])) == []

    assert min(took(search) for _ in range(3)) < 0.6 * min(took(lambda: read(tmp_path / "many")) for _ in range(3))

"""What TensorBoard reads back of a run is what the records say."""

import functools
import importlib.util
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.ablate import main
from vitbench.declare.ablation import Ablation
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.records.reader import load_arrays, read
from vitbench.run import Observer, execute
from vitbench.run.progress.observer import Observers, Progress
from vitbench.run.progress.tensorboard import TENSORBOARD, Scalars, folder_name, run_name

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="no tensorboard here: pip install 'vitbench[trace]'"
)
TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
ROWS = {
    "later": {"train.init_from": "variant:train.lr=0.001", "train.epochs": 2},
    "tested": {"train.init_from": "variant:train.lr=0.001", "train.epochs": 0},
}


def ablation(**changes):
    return Ablation(
        **{
            "question": "?",
            "baseline": TINY,
            "axes": {"train.lr": (2e-3, 1e-3)},
            "train": TrainConfig(epochs=3),
            "measure": MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
            "seeds": 1,
            **changes,
        }
    )


def run(declared, folder, executor):
    told = []
    watch = Scalars(folder, told.append)
    execute(declared, name="t", directory=folder, executor=executor, kinds=("accuracy", "tuning"), watch=watch)
    return watch, told


def runs(folder):
    """As TensorBoard lists them: name → tag → points, each with step, wall_time and value."""
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own
        seen = EventMultiplexer().AddRunsFromDirectory(str(folder / TENSORBOARD)).Reload()
        return {name: {tag: seen.Scalars(name, tag) for tag in tags["scalars"]} for name, tags in seen.Runs().items()}


def expected(folder, record):
    curve, values = load_arrays(folder, record.artifacts[0]), record.values
    tags = {"loss/val": "val_loss", "accuracy/val": "val_accuracy", "loss/train": "train_loss"}
    found = {
        tag: [(e, v) for e, v in zip(curve["epoch"].tolist(), curve[name].tolist(), strict=True) if np.isfinite(v)]
        for tag, name in tags.items()
    }
    found["accuracy/test"] = [(values["epochs"], values["accuracy"])]
    return {tag: [(e, np.float32(v)) for e, v in points] for tag, points in found.items() if points}


@pytest.mark.slow
@needs_tensorboard
def test_tensorboard_reads_what_the_records_say(tmp_path, shared):
    cnn = ResNetConfig(depth=None, layers=(1,), block="basic", width=4)
    folder = tmp_path / "r"
    run(ablation(combined=ROWS, references={"cnn/α": cnn}), folder, shared)
    records = {run_name(r): r for r in read(folder) if r.kind == "accuracy" and r.ok}
    assert len(records) == 6
    seen = runs(folder)
    assert seen.keys() == records.keys()
    assert {"train.lr=0.001/seed_0", "later/seed_0", "tested/seed_0"} < seen.keys()
    for name, record in records.items():
        assert {t: [(e.step, np.float32(e.value)) for e in points] for t, points in seen[name].items()} == expected(
            folder, record
        )
        times = [e.wall_time for e in seen[name]["loss/val"]]
        seconds = load_arrays(folder, record.artifacts[0])["seconds"]
        np.testing.assert_allclose(np.subtract(times, times[0]), seconds - seconds[0], atol=1e-3)
    assert [e.step for e in seen["tested/seed_0"]["loss/val"]] == [0]
    assert "loss/train" not in seen["tested/seed_0"]


@needs_tensorboard
def test_no_curve_is_written_twice_and_what_is_missing_is_made_up_for(tmp_path, shared):
    """A second run, a file that a killed run left unfinished, one that it never began, and one of an older record."""
    folder = tmp_path / "r"
    run(ablation(), folder, shared)
    first, second, *_ = files = sorted((folder / TENSORBOARD).rglob("events.*"))
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}
    run(ablation(), folder, shared)
    assert sorted((folder / TENSORBOARD).rglob("*.*")) != []
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files} == before
    first.rename(first.with_name("unfinished"))
    second.rename(second.with_name("events.out.tfevents.0000000001.0123"))
    run(ablation(), folder, shared)
    assert sorted(f for f in (folder / TENSORBOARD).rglob("*") if f.is_file()) == files
    assert {file: file.read_bytes() for file in files} == {file: content for file, (_, content) in before.items()}


@needs_tensorboard
def test_a_tuned_recipe_has_a_curve_of_its_own(tmp_path, shared):
    declared = ablation(axes={}, tuning=Tuning(tries=1), train=TrainConfig(epochs=1))
    watch, _ = run(declared, tmp_path / "r", shared)
    watch.catch_up()  # its own values won: the record is a copy, and no trial ended
    (name,) = {r.variant for r in read(tmp_path / "r") if r.kind == "accuracy"}
    assert runs(tmp_path / "r").keys() == {f"{name}/seed_0", f"{name}/seed_0_tuned"}


@needs_tensorboard
def test_what_cannot_be_written_is_told_once_and_ends_no_run(tmp_path, shared):
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / TENSORBOARD).write_text("a file is in the way")
    _, told = run(ablation(), folder, shared)
    (said,) = told
    assert "Not a directory" in said
    assert sum(r.ok for r in read(folder) if r.kind == "accuracy") == 2


def test_a_failed_training_has_no_curve(tmp_path, shared, sweep_of):
    _, told = run(sweep_of("raises"), tmp_path / "r", shared)
    assert told == []
    assert not (tmp_path / "r" / TENSORBOARD).exists()


@pytest.mark.parametrize("plain", ["depth=4,train.lr=0.001", "baseline", "cnn,data.per_class=20", "a.b-c+d"])
def test_a_plain_variant_is_its_own_folder(plain):
    assert folder_name(plain) == plain


@given(st.lists(st.text(min_size=1), min_size=2, max_size=8, unique=True))
def test_any_variant_is_a_folder_of_its_own(tmp_path_factory, variants):
    root = tmp_path_factory.mktemp("folders")
    for variant in variants:
        (root / folder_name(variant)).mkdir()  # which fails where there is one
    assert len(list(root.iterdir())) == len(variants)


def test_without_tensorboard_one_sentence_says_what_to_type(tmp_path):
    code = "import sys; sys.modules['tensorboard'] = None; from vitbench.ablate import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "pos_embed", "--tensorboard", "--results", str(tmp_path / "r")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--tensorboard needs TensorBoard, which is not installed: type pip install 'vitbench[trace]'" in done.stderr
    assert not (tmp_path / "r").exists()


def test_the_scheduler_needs_no_torch_and_no_tensorflow_for_it(tmp_path):
    code = (
        "import sys; import vitbench.run.progress.tensorboard;"
        "print(*[m for m in ('torch', 'tensorboard') if m in sys.modules]);"
        "from tensorboard.compat.proto import event_pb2, summary_pb2; import tensorboard.summary.writer.record_writer;"
        "print(*[m for m in ('torch', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_observers_are_all_told_in_order():
    heard = []

    class Listener(Observer):
        def __init__(self, name):
            self.name = name

    for event in ("planned", "tuned", "started", "finished", "progress", "note"):
        setattr(Listener, event, lambda self, *what, event=event: heard.append((self.name, event, what)))
    both = Observers(Listener("a"), Listener("b"))
    progress = Progress(done=0, total=1, failed=0, running=(), remaining_s=1.0)
    both.planned("plan")
    both.tuned("left", "reused", ["failure"])
    both.started("trial")
    both.finished("trial", ["record"])
    both.progress(progress)
    both.note("text")
    told = [("planned", ("plan",)), ("tuned", ("left", "reused", ["failure"])), ("started", ("trial",)),
            ("finished", ("trial", ["record"])), ("progress", (progress,)), ("note", ("text",))]  # fmt: skip
    assert heard == [(name, event, what) for event, what in told for name in "ab"]


@needs_tensorboard
@pytest.mark.slow
def test_the_command_writes_them(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(
        '"""Mine?"""\nfrom vitbench import Ablation, ViTConfig\n'
        f"ABLATION = Ablation(question='Mine?', baseline={TINY!r}, seeds=2)\n"
    )
    code = "from vitbench import *\n"
    (tmp_path / "mine.py").write_text(code + (tmp_path / "mine.py").read_text())
    monkeypatch.setattr("vitbench.run.execute", functools.partial(execute, kinds=("accuracy",)))  # the rest takes time
    folder = tmp_path / "r"
    status = main([str(tmp_path / "mine.py"), "--epochs", "1", "--results", str(folder), "--tensorboard"])
    assert status == 0, capsys.readouterr()
    assert {name.rpartition("/")[2] for name in runs(folder)} == {"seed_0", "seed_1"}

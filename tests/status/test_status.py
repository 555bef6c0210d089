"""``python -m vitbench.status``: how a sweep stands, held against what the planner would still run."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from vitbench.__main__ import COMMANDS
from vitbench.declare.ablation import Ablation
from vitbench.declare.serialize import as_dict
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.records.record import Record
from vitbench.run import environment
from vitbench.run.planning.plan import make_plan, session_size
from vitbench.run.planning.trials import Survey
from vitbench.run.progress.following import Follower
from vitbench.run.progress.standing import standing
from vitbench.run.progress.tally import overlap
from vitbench.run.store.lock_holder import holder_of
from vitbench.run.store.plan_record import plan_record, skip_records
from vitbench.run.store.recorder import Recorder
from vitbench.run.store.writer import Writer
from vitbench.status.__main__ import Options, main, status

DATA = {"name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "num_train": 1077}
SURVEY = Survey(device="cpu", data=DATA, torch={})
CODE = environment.code()
TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
PATCH = Ablation(question="Which patch?", baseline=TINY, axes={"patch_size": (2, 3, 4)}, train=TrainConfig(epochs=1))
TUNED = dataclasses.replace(PATCH, axes={"depth": (1, 2)}, tuning=Tuning(tries=2, seeds=1))
DTYPES = dataclasses.replace(PATCH, axes={"measure.dtype": ("float32", "bfloat16")})  # one training speaks for both
START = "2026-01-02T03:04:05.000+00:00"
AT = 1767323045.0  # the same, in seconds since 1970
COMMAND = "python -m vitbench.ablate patch"


def planned(ablation=PATCH, records=(), seeds=2):
    return make_plan(ablation, SURVEY, name="patch", seeds=seeds, records=records)


def opening(plan, jobs=1):
    common = {"ablation": plan.name, "started": START, "code": CODE}
    told = plan_record(plan, command=COMMAND, summary="s", conditions={}, jobs=jobs, **common)
    return [told, *skip_records(plan, (), **common)]


def result_of(trial, status="ok", *, reason=None, start=0.0, seconds=1.0, **values):
    """The records that the run writes of a trial, started so many seconds after the plan."""
    about = {"ablation": "patch", "status": status, "reason": reason, "seed": trial.seed, "code": CODE}
    about |= {"started": f"{START[:14]}{int(4 + (5 + start) // 60):02d}:{(5 + start) % 60:06.3f}+00:00"}
    about |= {"seconds": seconds, "values": values, "session": trial.session if status == "ok" else None}
    size = {"session_size": session_size(trial)} if trial.alone and status == "ok" else {}
    rows = []
    for variant in trial.variants:
        name = trial.id(variant) if status == "ok" else trial.failure_id(variant)
        for row in trial.rows(variant):
            own = {"variant": row.name, "axes": dict(row.axes), "config": as_dict(row.model)}
            rows.append(Record(id=name, kind=trial.kind, settings=trial.about(row) | size, **own, **about))
    if size and trial.quantity.control:
        first = trial.variants[0]
        rows.append(dataclasses.replace(rows[0], id=trial.id(first, control=True), kind=f"{trial.kind}_control"))
    return rows


def of_kind(plan, kind, recipe="same"):
    return [t for t in plan.trials if t.kind == kind and t.recipe == recipe]


def write(folder, *records):
    with Writer(folder) as writer:
        writer.append_many(records)
    return folder


def stands(folder, *, now=AT, holder=None):
    follower = Follower(folder / "records.jsonl")
    follower.read()
    return standing(folder, follower, holder or holder_of(folder), now)


def left(found):
    return {count.kind: count.left for count in found.counts if count.left}


# what is left is what the planner would run


@pytest.mark.parametrize("ablation", [PATCH, TUNED, DTYPES], ids=["patch", "tuned", "dtypes"])
@settings(max_examples=25, phases=[Phase.generate])  # shrinking would take minutes
@given(choose=st.data())
def test_what_is_left_is_what_the_planner_would_still_run(ablation, choose, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    plan = planned(ablation)
    records = opening(plan)
    for trial in plan.trials:
        if trial.recipe == "tuned":
            continue
        how = choose.draw(st.sampled_from(["absent", "ok", "ok", "failed", "oom"]), label=trial.label)
        if how == "absent":
            continue
        if trial.alone and how != "ok":  # the last one cannot be called, the others are timed without it
            bad = dataclasses.replace(trial, variants=trial.variants[-1:], also=())
            records += result_of(bad, how, reason="no")
            trial = dataclasses.replace(trial, variants=trial.variants[:-1])  # noqa: PLW2901
            how = choose.draw(st.sampled_from(["absent", "ok"]))
        records += result_of(trial, how, val_accuracy=0.5, reason=None) if how != "absent" and trial.variants else []
    found = stands(write(folder, *records))
    again = planned(ablation, records)
    told, expected = left(found), again.counts
    for counts in (told, expected):  # what won may be trained already: its records are copied only in their turn
        counts.pop("accuracy, tuned", None)
    assert told == expected
    assert found.total("planned") == len(plan.trials)
    assert {row.id for row in found.failures} == {record.id for record in again.failures}


def test_tuned_accuracies_are_counted_too(tmp_path):
    plan = planned(TUNED)
    tries = [r for t in of_kind(plan, "tuning") for r in result_of(t, val_accuracy=0.5)]
    again = planned(TUNED, tries)
    tuned = of_kind(again, "accuracy", "tuned")
    records = [*tries, *(r for t in tuned[:3] for r in result_of(t))]
    found = stands(write(tmp_path, *opening(plan), *records))
    counts = {count.kind: (count.planned, count.done, count.left) for count in found.counts}
    assert counts["accuracy, tuned"] == (len(tuned), 3, len(tuned) - 3)
    assert counts["accuracy"] == (4, 0, 4)


def test_who_found_no_recipe_is_waited_for_by_nobody(tmp_path):
    plan = planned(TUNED)
    first = of_kind(plan, "tuning")[0].variants[0].name
    units = {t.variants[0].name for t in of_kind(plan, "tuning")}
    assert units == {first}  # one family: its tries count for all
    tries = [r for t in of_kind(plan, "tuning") for r in result_of(t, diverged=True, val_accuracy=None)]
    found = stands(write(tmp_path, *opening(plan), *tries))
    assert next(count.left for count in found.counts if count.kind == "accuracy, tuned") == 0
    assert planned(TUNED, tries).counts.get("accuracy, tuned", 0) == 0


def test_the_plan_says_how_many_trials_there_are_and_its_id_does_not_depend_on_it(tmp_path):
    plan = planned()
    (told, *_) = opening(plan, jobs=2)
    assert told.values["trials"] == plan.counts
    again = planned(records=[r for t in plan.trials for r in result_of(t)])
    assert again.counts == {}
    assert opening(again, jobs=1)[0].id == told.id
    assert opening(again, jobs=2)[0].values["trials"] == plan.counts


def test_an_older_plan_does_not_say_how_many(tmp_path):
    plan = planned()
    told, *skips = opening(plan)
    values = {key: value for key, value in told.values.items() if key not in {"trials", "jobs"}}
    folder = write(tmp_path, dataclasses.replace(told, values=values), *skips, *result_of(plan.trials[0]))
    found = stands(folder)
    assert [(c.kind, c.planned, c.done, c.left) for c in found.counts] == [("cost", None, 1, None)]
    assert (found.state, found.remaining_s) == ("not running", None)
    assert "older version" in found.unknown


def test_an_older_folder_that_goes_on_says_it_once(tmp_path):
    plan = planned()
    told, *skips = opening(plan)
    values = {key: value for key, value in told.values.items() if key not in {"trials", "jobs"}}
    plans = []
    with Writer(tmp_path) as writer:
        writer.append_many([dataclasses.replace(told, values=values), *skips])
        for jobs in (2, 2, 1):
            Recorder(plan, writer, None).open(COMMAND, "s", jobs)
            plans.append([r for r in writer.records if r.kind == "plan"])
    assert [len(found) for found in plans] == [2, 2, 3]  # with other jobs it is another plan
    assert {r.id for r in plans[-1]} == {told.id}
    found = stands(tmp_path)
    assert (found.total("planned"), found.total("left")) == (12, 12)


def test_what_older_code_and_other_plans_recorded_does_not_count(tmp_path):
    plan = planned(seeds=3)
    trials = of_kind(plan, "accuracy")
    old = {**CODE, "components": {**CODE["components"], "train": 0}}
    stale = [dataclasses.replace(r, code=old) for r in result_of(trials[0])]
    beyond = [r for t in trials if t.seed == 2 for r in result_of(t)]
    fewer = planned(seeds=2)
    found = stands(write(tmp_path, *stale, *beyond, *opening(fewer), *result_of(trials[1])))
    (count,) = (count for count in found.counts if count.kind == "accuracy")
    assert (count.planned, count.done, count.left) == (4, 1, 3)


# time left and what runs


def timed(folder, seeds, *, jobs, took=(10.0, 30.0), of=6):
    """All but accuracies are done; of these so many seeds, each variant's taking as long."""
    plan = planned(seeds=of)
    records = [r for t in plan.trials if t.kind != "accuracy" for r in result_of(t)]
    names = [v.name for v in plan.variants if v.model is not None]
    for trial in of_kind(plan, "accuracy"):
        if trial.seed < seeds:
            seconds = took[names.index(trial.variants[0].name)]
            records += result_of(trial, seconds=seconds, start=100.0 + 40.0 * trial.seed)
    return write(folder, *opening(plan, jobs), *records)


@pytest.mark.parametrize(("jobs", "expected"), [(1, 160.0), (2, 80.0), (4, 40.0)])
def test_time_left_by_hand(tmp_path, jobs, expected):
    """Four seeds are left, of 10 s and 30 s each."""
    found = stands(timed(tmp_path, 2, jobs=jobs))
    assert found.remaining_s == pytest.approx(expected)
    assert left(found) == {"accuracy": 8}


def test_each_variant_speaks_for_itself(tmp_path):
    """Of seed 0 the slow one ended and the quick one did not: five slow ones and six of their mean are left."""
    plan = planned(seeds=6)
    others = [r for t in plan.trials if t.kind != "accuracy" for r in result_of(t)]
    quick, slow = of_kind(plan, "accuracy")[:2]
    found = stands(write(tmp_path, *opening(plan), *others, *result_of(slow, seconds=30.0)))
    assert found.remaining_s == pytest.approx(11 * 30.0)
    both = stands(write(tmp_path, *result_of(quick, seconds=10.0)))
    assert both.remaining_s == pytest.approx(5 * (10.0 + 30.0))


def test_what_runs_has_been_running_since_the_last_record(tmp_path):
    folder = timed(tmp_path, 2, jobs=2)
    alive = dataclasses.replace(holder_of(folder), alive=True, since=START)
    ended = AT + 100.0 + 40.0 + 30.0
    found = stands(folder, now=ended + 4.0, holder=alive)
    assert (found.state, found.age_s) == ("running", pytest.approx(4.0))
    assert found.remaining_s == pytest.approx(80.0 - 4.0)
    late = stands(folder, now=ended + 4000.0, holder=alive)  # it hangs: no more than one trial's time is taken off
    assert late.remaining_s == pytest.approx(80.0 - 20.0)
    resumed = dataclasses.replace(alive, since="2026-01-02T05:00:00.000+00:00")  # hours after the last record
    fresh = stands(folder, now=1767330002.0, holder=resumed)
    assert fresh.remaining_s == pytest.approx(80.0 - 2.0)


def test_what_has_not_been_seen_is_not_guessed(tmp_path):
    plan = planned()
    costs = [r for t in of_kind(plan, "cost") for r in result_of(t)]
    found = stands(write(tmp_path, *opening(plan), *costs))
    assert (found.remaining_s, found.unknown) == (None, "no memory has ended yet")


def test_what_runs_now_follows_the_order_of_a_sweep(tmp_path):
    plan = planned()
    said = []
    folder = write(tmp_path, *opening(plan))
    alive = dataclasses.replace(holder_of(folder), alive=True)
    for trial in plan.trials:
        said.append(stands(folder, holder=alive).now)
        write(folder, *result_of(trial))
    assert said == [
        "cost, 2 left and memory, 2 left",
        "cost, 1 left and memory, 2 left",
        "memory, 2 left",
        "memory, 1 left",
        "ceiling, 1 left",
        "latency of 2 variants",
        "train step of 2 variants",
        "throughput of 2 variants",
        "accuracy, seed 0: patch_size=4, patch_size=2",
        "accuracy, seed 0: patch_size=2",
        "accuracy, seed 1: patch_size=4, patch_size=2",
        "accuracy, seed 1: patch_size=2",
    ]
    assert (stands(folder).now, stands(folder).state, stands(folder).remaining_s) == (None, "ended", 0.0)


def test_side_by_side():
    assert overlap([(0, 10), (10, 20)]) == 1.0
    assert overlap([(0, 10), (0, 10), (50, 60), (50, 60)]) == 2.0  # an interruption is nobody's time
    assert overlap([(0, 10), (5, 15)]) == pytest.approx(20 / 15)
    assert overlap([]) == overlap([(3, 3)]) == 1.0


# failures


def test_failures_are_shown_with_their_reason(tmp_path, capsys):
    plan = planned()
    latency, step = of_kind(plan, "latency")[0], of_kind(plan, "train_step")[0]
    bad = [dataclasses.replace(t, variants=t.variants[1:]) for t in (latency, step)]
    timing = [r for t in bad for r in result_of(t, "oom", reason="CUDA out of memory")]
    trained = [t for t in of_kind(plan, "accuracy") if t.variants[0].name == "patch_size=2"]
    diverged = [r for t in trained for r in result_of(t, "diverged", reason="the loss is nan")]
    folder = write(tmp_path, *opening(plan), *timing, *diverged)
    assert main([str(folder)]) == 0
    text = capsys.readouterr().out
    assert "  patch_size=2: oom in latency, train step: CUDA out of memory\n" in text
    assert "  patch_size=2: diverged in accuracy (seed 0, 1): the loss is nan\n" in text
    assert "1 impossible variant skipped" in text
    assert f"12 trials are left; the same command goes on: {COMMAND}" not in text  # two of them failed
    assert f"10 trials are left; the same command goes on: {COMMAND}" in text
    assert main([str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(f["variant"], f["kind"], f["seed"], f["status"], f["reason"]) for f in told["failures"]] == [
        ("patch_size=2", "latency", None, "oom", "CUDA out of memory"),
        ("patch_size=2", "train_step", None, "oom", "CUDA out of memory"),
        ("patch_size=2", "accuracy", 0, "diverged", "the loss is nan"),
        ("patch_size=2", "accuracy", 1, "diverged", "the loss is nan"),
    ]
    assert (told["planned"], told["done"], told["failed"], told["left"]) == (12, 0, 4, 10)


def test_what_succeeded_later_has_not_failed(tmp_path):
    plan = planned()
    latency, first = of_kind(plan, "latency")[0], of_kind(plan, "accuracy")[0]
    bad = dataclasses.replace(latency, variants=latency.variants[1:])
    records = [*result_of(bad, "timeout"), *result_of(first, "timeout"), *result_of(latency), *result_of(first)]
    assert stands(write(tmp_path, *opening(plan), *records)).failures == ()


def test_without_a_baseline_there_is_no_session_to_wait_for(tmp_path):
    plan = planned()
    records = result_of(of_kind(plan, "latency")[0], "failed", reason="no")
    found = stands(write(tmp_path, *opening(plan), *records))
    assert {c.kind: (c.done, c.failed, c.left) for c in found.counts}["latency"] == (0, 2, 0)


def test_a_thousand_failures_are_not_all_shown(tmp_path, capsys):
    plan = planned(seeds=40)
    trials = of_kind(plan, "accuracy")
    records = [r for n, t in enumerate(trials) for r in result_of(t, "failed", reason=f"{n} " + "x" * 900)]
    assert main([str(write(tmp_path, *opening(plan), *records))]) == 0
    text = capsys.readouterr().out
    assert text.endswith("  and 68 more: --json has all\n")
    assert max(map(len, text.splitlines())) < 260


# reading beside a writer


def test_a_line_that_is_being_written_is_left_for_later(tmp_path):
    plan = planned()
    folder = write(tmp_path, *opening(plan), *result_of(plan.trials[0]), *result_of(plan.trials[1]))
    path = folder / "records.jsonl"
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    follower = Follower(path)
    for end in [*range(last, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:end])
        follower.read()
        found = standing(folder, follower, None, AT)
        assert (found.torn, found.total("done"), len(follower.rows)) == (end > last, 1, 3)
    path.write_bytes(whole)
    follower.read()
    found = standing(folder, follower, None, AT)
    assert (found.torn, found.total("done")) == (False, 2)


def test_blocks_that_never_reached_the_disk_are_torn_too(tmp_path):
    folder = write(tmp_path, *opening(planned()))
    with (folder / "records.jsonl").open("ab") as file:
        file.write(b"\0" * 4096 + b"\n")
    assert stands(folder).torn


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 60_000)))
def test_read_in_pieces_or_at_once(tmp_path_factory, cuts):
    plan = planned()
    folder = write(tmp_path_factory.mktemp("run"), *opening(plan), *(r for t in plan.trials for r in result_of(t)))
    whole = (folder / "records.jsonl").read_bytes()
    (folder / "growing.jsonl").write_bytes(b"")
    follower, at_once = Follower(folder / "growing.jsonl"), Follower(folder / "records.jsonl")
    at_once.read()
    written = 0
    for cut in sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)}):
        with (folder / "growing.jsonl").open("ab") as file:
            file.write(whole[written:cut])
        written = cut
        follower.read()
    assert (follower.rows, follower.plan, follower.torn) == (at_once.rows, at_once.plan, False)


def test_a_file_that_was_cut_or_replaced_is_read_anew(tmp_path):
    plan = planned()
    folder = write(tmp_path, *opening(plan), *result_of(plan.trials[0]))
    path = folder / "records.jsonl"
    follower, whole = Follower(path), path.read_bytes()
    follower.read()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[:first])  # a full disk: the writer took its last lines back
    follower.read()
    assert len(follower.rows) == 1
    longer = result_of(plan.trials[5])[0].line().encode() + b"\n"
    path.write_bytes(whole[:first] + longer * 2)
    follower.read()
    assert [row.kind for row in follower.rows] == ["plan", "latency", "latency"]
    path.write_bytes(whole[:first] + whole[first:].replace(b"patch_size=4", b"patch_size=44") * 3)  # grown past it
    follower.read()
    assert len(follower.rows) == 7
    path.rename(folder / "aside.jsonl")
    follower.read()
    assert (follower.rows, follower.plan) == ([], None)


def test_reading_leaves_the_folder_and_the_lock_alone(tmp_path, capsys):
    with Writer(tmp_path) as writer:
        writer.append_many(opening(planned()))
        before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}
        assert main([str(tmp_path)]) == 0
        assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")} == before
        writer.append_many(result_of(planned().trials[0]))
        assert f"running, process {os.getpid()} on {socket.gethostname()} since 20" in capsys.readouterr().out


def test_who_holds_it(tmp_path):
    assert holder_of(tmp_path) is None
    with Writer(tmp_path):
        held = holder_of(tmp_path)
        assert (held.pid, held.host, held.alive) == (os.getpid(), socket.gethostname(), True)
        assert stands(tmp_path).state == "starting"
    assert holder_of(tmp_path).alive is False  # this process lives, and has let go
    assert stands(tmp_path).state == "not running"
    lock = tmp_path / ".lock"
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": START}))
    assert holder_of(tmp_path).alive is None
    write_plan = write(tmp_path / "other", *opening(planned()))
    (write_plan / ".lock").write_text(lock.read_text())
    assert stands(write_plan).state == "unseen"
    lock.write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname(), "since": START}))  # past any pid
    assert holder_of(tmp_path).alive is False
    for nothing in ("", "{", "[]", '{"pid": "x", "host": "h", "since": "s"}'):
        lock.write_text(nothing)
        assert holder_of(tmp_path) is None


# the command


@pytest.mark.parametrize(
    ("made", "argv", "words"),
    [
        ((), ["nowhere"], ["unknown results folder 'nowhere': none exist", "status DIR", "vitbench.ablate NAME"]),
        (("run",), ["ran"], ["unknown results folder 'ran': run exist", "did you mean 'run'?"]),
        (("results/run",), ["run"], ["no folder run, but results/run exists: type", "vitbench.status results/run"]),
        (("run",), ["."], [". is no results folder: it has no records.jsonl", "results/NAME"]),
        (("run",), ["run/records.jsonl"], ["is no results folder"]),
        (("run",), ["run", "--watch", "0.1"], ["--watch 0.1 looks too often", "1 or more"]),
        (("run",), ["run", "--watch", "nan"], ["looks too often"]),
        (("run",), [], ["DIR", "`python -m vitbench.status --help`"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(tmp_path, capsys, made, argv, words):
    for name in made:
        write(tmp_path / name, *opening(planned()))
    with contextlib.chdir(tmp_path):
        assert main(argv) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert all(word in err for word in words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nonsense", "line 3 is not valid JSON"),
        ("[1]", "line 3 is JSON, but no record of vitbench"),
        ('{"schema": 2}', "line 3 is JSON, but no record of vitbench"),
        ('{"schema": 99}', "line 3 is of a newer vitbench (schema 99; this one reads up to 2)"),
    ],
)
def test_a_foreign_line_is_named(tmp_path, capsys, line, words):
    folder = write(tmp_path, *opening(planned()))
    with (folder / "records.jsonl").open("a") as file:
        file.write(line + "\n")
    before = (folder / "records.jsonl").read_bytes()
    assert main([str(folder)]) == 2
    assert words in capsys.readouterr().err
    assert (folder / "records.jsonl").read_bytes() == before


def test_a_folder_with_nothing_yet(tmp_path, capsys):
    with Writer(tmp_path):
        assert main([str(tmp_path)]) == 0
        text = capsys.readouterr().out
        assert "starting, process" in text
        assert "last record  none yet" in text
    assert main([str(tmp_path)]) == 0
    assert "nobody is writing it; nothing is recorded" in capsys.readouterr().out


def test_watching_ends_with_the_sweep(tmp_path, capsys):
    plan = planned()
    writer = Writer(tmp_path)
    writer.append_many(opening(plan))
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) < 3:
            writer.append_many(result_of(plan.trials[len(waits)]))
        else:
            writer.close()

    assert status(Options(folder=tmp_path, watch=5.0, json=True), sleep=sleep) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert waits == [5.0] * 3
    assert [(t["state"], t["done"]) for t in told] == [("running", 0), ("running", 1), ("running", 2), ("stopped", 2)]


def test_watching_is_left_with_ctrl_c(tmp_path, capsys):
    def sleep(seconds):
        raise KeyboardInterrupt

    with Writer(tmp_path) as writer:
        writer.append_many(opening(planned()))
        assert status(Options(folder=tmp_path, watch=1.0), sleep=sleep) == 0
    assert capsys.readouterr().err == ""


def test_it_is_a_command_and_loads_nothing_heavy(tmp_path):
    assert COMMANDS["status"][0] == "vitbench.status.__main__"
    plan = planned()
    write(tmp_path, *opening(plan), *(r for t in plan.trials for r in result_of(t)))
    heavy = ("torch", "numpy", "pandas", "scipy", "sklearn", "seaborn")
    code = f"import sys; from vitbench.status import main; main([{str(tmp_path)!r}]); "
    code += f"print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "ended, nothing is left" in out
    assert out.splitlines()[-1] == "[]"


MODELS = """
from torch import nn

class Model(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x):
        return self.linear(x.flatten(1))

good = other = Model
"""

SCRIPT = """
import sys
from pathlib import Path
from vitbench import Ablation
from vitbench import ExternalConfig, MeasureConfig, TrainConfig
from vitbench.run import execute

folder = Path(sys.argv[1])
ablation = Ablation(
    question="q", baseline=ExternalConfig("linears:good", img_size=8, in_chans=1, num_classes=10),
    axes={"source": ("linears:good", "linears:other")}, seeds=12,
    train=TrainConfig(epochs=4), measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
)
outcome = execute(ablation, name="k", directory=folder / "results", import_path=folder, jobs=1,
                  kinds=("cost", "latency", "train_step", "accuracy"), command="the command")
"""


@pytest.mark.slow
def test_a_real_sweep_is_watched_killed_and_resumed(tmp_path):
    (tmp_path / "linears.py").write_text(textwrap.dedent(MODELS))
    folder = tmp_path / "results"
    begin = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    asked = [sys.executable, "-m", "vitbench.status", str(folder), "--json"]

    def ask():
        return json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)

    with subprocess.Popen(begin, start_new_session=True) as run:
        while not (folder / ".lock").exists() and run.poll() is None:
            time.sleep(0.01)
        seen = []
        while run.poll() is None and (not seen or seen[-1]["done"] is None or seen[-1]["done"] < 8):
            os.kill(run.pid, signal.SIGSTOP)  # or it may have ended while a busy machine answers
            seen.append(ask())
            os.kill(run.pid, signal.SIGCONT)
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGKILL)
    assert {told["state"] for told in seen} <= {"starting", "running", "not running"}
    running = [told for told in seen if told["state"] == "running"]
    assert {told["holder"]["pid"] for told in running} == {run.pid}
    assert all(told["planned"] == told["done"] + told["left"] == 28 for told in running)
    done = [told["done"] for told in running]
    assert done == sorted(done)
    assert running[-1]["now"].startswith("accuracy, seed")
    assert running[-1]["remaining_s"] > 0
    stopped = ask()
    assert (stopped["state"], stopped["holder"]["alive"], stopped["command"]) == ("stopped", False, "the command")
    assert stopped["done"] + stopped["left"] == 28
    assert subprocess.run(begin, check=False).returncode == 0
    ended = ask()
    assert (ended["state"], ended["done"], ended["left"], ended["remaining_s"]) == ("ended", 28, 0, 0.0)
    assert [count["done"] for count in ended["kinds"]] == [2, 1, 1, 24]

"""Records: every field survives the file, every bit of damage is noticed, an id is what determines a measurement."""

import array
import contextlib
import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.records.identity import SCHEMA, VERSIONS, digest, identity, plain
from vitbench.records.reader import file_digest, read, read_environments
from vitbench.records.record import STATUSES, DamagedError, Record, line_reader
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError

NUMBERS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(NUMBERS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=12)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
RECORDS = st.builds(
    Record,
    id=TEXT,
    ablation=TEXT,
    kind=TEXT,
    variant=TEXT,
    axes=OBJECTS,
    config=st.none() | OBJECTS,
    settings=OBJECTS,
    seed=st.none() | st.integers(),
    status=st.sampled_from(STATUSES),
    reason=st.none() | TEXT,
    values=OBJECTS,
    samples=OBJECTS,
    environment=TEXT,
    code=OBJECTS,
    started=TEXT,
    seconds=st.floats(0, 1e9),
    session=st.none() | TEXT,
    artifacts=st.lists(TEXT),
)


def make_record(**changes):
    return Record(**{"id": "a1", "ablation": "pos_embed", "kind": "cost", "variant": "learned", **changes})


@given(RECORDS)
def test_a_record_survives_its_line(record):
    line = record.line()
    assert "\n" not in line
    assert Record.from_line(line.encode()) == record


@pytest.mark.slow
@given(RECORDS, st.data())
def test_a_changed_character_is_noticed(record, data):
    line = record.line()
    place = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda c: c != line[place]))
    with contextlib.suppress(DamagedError):
        found = Record.from_line((line[:place] + other + line[place + 1 :]).encode())
        assert found == record  # 1e5 for 1E5: another spelling of the same


@given(RECORDS, st.data())
def test_a_torn_line_is_noticed(record, data):
    line = record.line().encode()
    with pytest.raises(Exception, match=r"JSON|checksum"):
        Record.from_line(line[: data.draw(st.integers(0, len(line) - 1))])


SAMPLES = st.fixed_dictionaries(
    {
        "correct": st.fixed_dictionaries(
            {
                "unit": TEXT,
                "values": st.lists(st.integers(0, 9), max_size=80)
                | st.lists(st.integers(-300, 300), max_size=80)
                | st.lists(NUMBERS, min_size=30, max_size=40),
            }
        )
    }
)
"""What a training measures: a digit an image, or something like it."""


def verdict(line, reader=None):
    """The record that a line wrote, or why it is none."""
    try:
        return Record.from_line(line, reader).line()
    except DamagedError as damage:
        return str(damage)


@pytest.mark.slow
@given(st.lists(RECORDS | st.builds(dataclasses.replace, RECORDS, samples=SAMPLES), min_size=1, max_size=4), st.data())
def test_read_together_or_alone_every_damage_gets_the_same_verdict(records, data):
    """Bytes are changed, cut out, doubled and swapped, in lines that have much in common with those read before."""
    reader = line_reader()
    lines = [r.line().encode() + b"\n" for r in records]
    for _ in range(4):
        line = data.draw(st.sampled_from(lines))
        start, end = sorted(data.draw(st.integers(0, len(line))) for _ in range(2))
        other = data.draw(st.binary(max_size=3) | st.sampled_from([b"", b" ", line[start:end] * 2, *PIECES]))
        for one in (line, line[:start] + other + line[end:]):
            assert verdict(one, reader) == verdict(one)


PIECES = [
    b',"samples":{}',
    b',"seed":1',
    b'"values":[',
    b"1,1",
    b"01",
    b"1.0",
    b"\\u0031",
    b"NaN",
    b"}},",
    b'"',
    b"\xff",
]


@given(RECORDS, st.data())
def test_a_line_spelled_otherwise_is_refused(record, data):
    """Another order of the fields or other spaces: the checksum is that of the line's own bytes."""
    body = json.loads(record.line())
    names = data.draw(st.permutations(list(body)))
    spelled = json.dumps({name: body[name] for name in names}, ensure_ascii=data.draw(st.booleans())).encode()
    assert verdict(spelled, line_reader()) == verdict(spelled) != record.line()


def test_a_name_of_a_field_inside_a_value_does_not_end_it():
    """Such a line is read slowly, not wrongly."""
    record = make_record(
        axes={"a": 1, "config": [2]}, settings={"x": {"y": 1, "seed": 7}}, values={"b": '","samples":', "samples": {}}
    )
    assert Record.from_line(record.line().encode(), line_reader()) == record


@pytest.mark.parametrize(("schema", "words"), [(SCHEMA - 1, "an older vitbench"), (SCHEMA + 1, "a newer vitbench")])
def test_another_schema_is_named(schema, words):
    line = dataclasses.replace(make_record(), schema=schema).line().encode()
    for reader in (None, line_reader()):
        with pytest.raises(DamagedError, match=words):
            Record.from_line(line, reader)


def test_without_samples_they_are_checked_and_left_out():
    line = make_record(samples={"correct": {"unit": "0/1", "values": [1, 0] * 20}}).line().encode()
    reader = line_reader(samples=False)
    assert Record.from_line(line, reader) == make_record()
    with pytest.raises(DamagedError, match="checksum"):
        Record.from_line(line.replace(b"0,1,0", b"0,1,1", 1), reader)
    with pytest.raises(DamagedError, match="checksum"):
        Record.from_line(line.replace(b"0,1,0", b"0,1,1", 1), line_reader())


def test_small_whole_numbers_are_held_as_bytes():
    for values, small in (([1, 0] * 20, True), ([200, 7] * 20, True), ([1, 300] * 20, False), ([1, 0], False)):
        line = make_record(samples={"correct": {"unit": "1", "values": values}}).line().encode()
        found = Record.from_line(line, line_reader()).samples["correct"]["values"]
        assert list(found) == values
        assert isinstance(found, array.array) == small


def test_the_fields_of_the_design_are_there():
    fields = [
        *("schema", "id", "ablation", "kind", "variant", "axes", "config", "settings", "seed", "status", "reason"),
        *("values", "samples", "environment", "code", "started", "seconds", "session", "artifacts", "digests"),
        *("source", "checksum"),
    ]
    assert list(json.loads(make_record().line())) == fields


def test_a_record_keeps_the_digest_of_an_artifact(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"abc")
    known = "ba7816bf8f01cfea4141"  # of SHA-256's published example, FIPS 180-2
    record = make_record(artifacts=["x.npz"], digests={"x.npz": file_digest(tmp_path / "x.npz")})
    assert Record.from_line(record.line().encode()).digests == {"x.npz": known}
    with pytest.raises(DamagedError, match="checksum"):
        Record.from_line(record.line().replace(known, known[::-1]).encode())


def test_what_json_has_not_becomes_null_and_arrays_lists():
    record = make_record(values={"loss": math.nan, "top": np.float32(0.5), "n": np.int64(3), "by": (1, math.inf)})
    assert Record.from_line(record.line().encode()).values == {"loss": None, "top": 0.5, "n": 3, "by": [1, None]}
    assert plain(np.array([[1.0, np.nan]])) == [[1.0, None]]
    assert plain("\udcff") == "?"
    with pytest.raises(TypeError, match="cannot hold set"):
        plain({1})


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="did you mean 'failed'"):
        make_record(status="fail")


GOLDEN = {
    "kind": "accuracy",
    "config": {"type": "ViTConfig", "patch_size": 8, "mlp_ratio": 4.0},
    "components": ("models", "data", "train"),
    "data": {"name": "digits", "version": "1"},
    "train": {"type": "TrainConfig", "lr": 2e-3, "betas": [0.9, 0.999]},
    "seed": 3,
    "settings": {"device": "cpu"},
    "session": None,
}


def test_an_id_is_stable_across_machines_and_years():
    assert identity(**GOLDEN) == "138a30f3e25ff36644d6"


def test_spelling_does_not_change_an_id():
    again = GOLDEN | {
        "config": {"mlp_ratio": 4, "patch_size": 8, "type": "ViTConfig"},
        "train": {"betas": (0.9, 0.999), "lr": 0.002, "type": "TrainConfig"},
    }
    assert identity(**again) == identity(**GOLDEN)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("kind", "latency"),
        ("config", {"type": "ViTConfig", "patch_size": 4, "mlp_ratio": 4.0}),
        ("config", None),
        ("components", ("models", "data")),
        ("data", {"name": "digits", "version": "2"}),
        ("data", {"name": "quadrant", "version": "1"}),
        ("train", {"type": "TrainConfig", "lr": 2e-3, "betas": [0.9, 0.99]}),
        ("seed", 4),
        ("seed", None),
        ("settings", {"device": "cuda"}),
        ("session", "abc"),
    ],
)
def test_everything_that_determines_a_number_changes_its_id(part, value):
    assert identity(**GOLDEN | {part: value}) != identity(**GOLDEN)


def test_a_components_version_changes_the_ids_that_rest_on_it(monkeypatch):
    before = identity(**GOLDEN), identity(**GOLDEN | {"components": ("measure",)})
    monkeypatch.setattr("vitbench.records.identity.VERSIONS", VERSIONS | {"train": VERSIONS["train"] + 1})
    assert identity(**GOLDEN) != before[0]
    assert identity(**GOLDEN | {"components": ("measure",)}) == before[1]


@given(OBJECTS, OBJECTS)
def test_a_digest_is_equal_exactly_for_equal_content(one, other):
    assert digest(one) == digest(json.loads(json.dumps(one)))
    if json.dumps(plain(one), sort_keys=True) == json.dumps(plain(other), sort_keys=True):
        assert digest(one) == digest(other)
    elif one != other:  # 1 == True == 1.0 in Python
        assert digest(one) != digest(other)


def write_lines(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "records.jsonl").write_bytes(b"".join(lines))
    return folder


def line_of(**changes):
    return make_record(**changes).line().encode() + b"\n"


def test_reading_keeps_the_order(tmp_path):
    folder = write_lines(tmp_path / "run", line_of(id="b"), line_of(id="a"))
    assert [record.id for record in read(folder)] == ["b", "a"]


@pytest.mark.parametrize("torn", [line_of()[:50], b'{"id"', b"\0" * 40, b"\0" * 39 + b"\n"])
def test_a_torn_last_line_is_left_out_and_told(tmp_path, torn):
    folder, told = write_lines(tmp_path / "run", line_of(), torn), []
    assert len(read(folder, told.append)) == 1
    assert "torn by a crash" in told[0]
    with pytest.warns(UserWarning, match="torn by a crash"):
        read(folder)


def test_a_whole_record_without_its_newline_counts(tmp_path):
    assert len(read(write_lines(tmp_path / "run", line_of(), line_of()[:-1]))) == 2


def test_a_session_that_did_not_arrive_whole_is_left_out(tmp_path):
    part = [line_of(id=f"l{i}", session="s", settings={"session_size": 3}) for i in range(3)]
    told = []
    assert len(read(write_lines(tmp_path / "run", line_of(), *part[:2]), told.append)) == 1
    assert "2 of 3 records" in told[0]
    assert len(read(write_lines(tmp_path / "run", line_of(), *part[:2], part[2][:9]), told.append)) == 1
    assert len(read(write_lines(tmp_path / "run", line_of(), *part), told.append)) == 4
    assert len(told) == 2


NEWER = json.loads(make_record().line()) | {"schema": SCHEMA + 1, "colour": "blue"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello\n", "not valid JSON"),
        (b"\n", "not valid JSON"),
        (b"\xff\xfe\n", "not valid JSON"),
        (b"[" * 100_000 + b"\n", "not valid JSON"),
        (b'{"a": 1}\n', "no record of vitbench"),
        (b"[1]\n", "no record of vitbench"),
        (f'{{"schema": {SCHEMA}}}\n'.encode(), "no record of vitbench"),
        (line_of().replace(b"learned", b"none"), "checksum"),
        (line_of(values={"x": 1.5}).replace(b"1.5", b"NaN"), "checksum"),
        (json.dumps(NEWER).encode() + b"\n", f"schema {SCHEMA + 1}"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_foreign_line_is_named_and_nothing_is_lost(tmp_path, line, message, last):
    folder = write_lines(tmp_path / "run", line_of(), line, *([] if last else [line_of()]))
    before = (folder / "records.jsonl").read_bytes()
    with pytest.raises(UserError, match=rf"records.jsonl, line 2 is .*{message}.*, or name another folder$"):
        read(folder)
    with pytest.raises(
        UserError, match=rf"line 2 is .*{message}.*, or type --results OTHER to leave this folder alone$"
    ):
        Writer(folder)
    assert (folder / "records.jsonl").read_bytes() == before


def test_of_a_newer_record_the_remedy_is_a_newer_program(tmp_path):
    with pytest.raises(UserError, match=f"schema {SCHEMA + 1}.*: upgrade vitbench, or name"):
        read(write_lines(tmp_path / "run", json.dumps(NEWER).encode() + b"\n"))


def test_what_stands_where_records_should_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty is not a results folder: it has no records\.jsonl; name another"):
        read(tmp_path / "empty")
    (tmp_path / "odd" / "records.jsonl").mkdir(parents=True)
    with pytest.raises(UserError, match=r"records\.jsonl is not a records file: move it away, or name another"):
        read(tmp_path / "odd")
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "records.jsonl").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(UserError, match="line 1 is not valid JSON"):
        read(tmp_path / "bytes")
    assert read(write_lines(tmp_path / "nothing")) == []


def test_a_missing_folder_is_answered_with_the_nearest(tmp_path):
    write_lines(tmp_path / "pos_embed", line_of())
    with pytest.raises(UserError, match="did you mean 'pos_embed'"):
        read(tmp_path / "pos_embd")


def test_environments(tmp_path):
    assert read_environments(tmp_path) == {}
    whole = b'{"hash":"a","body":{"cores":2}}\n'
    (tmp_path / "environments.jsonl").write_bytes(whole + b'{"hash":"b"')
    assert read_environments(tmp_path) == {"a": {"cores": 2}}
    (tmp_path / "environments.jsonl").write_bytes(b"what\n" + whole)
    with pytest.raises(UserError, match="line 1 describes no environment"):
        read_environments(tmp_path)


def test_a_record_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_record().id = "b"

"""A mistake on the command line is one sentence and exit status 2."""

import dataclasses
from typing import Literal

import pytest

from vitbench.utils import cli
from vitbench.utils.errors import UserError


@dataclasses.dataclass(kw_only=True)
class Options:
    """Does things."""

    seeds: int = 6
    most: int | None = None
    budget: float | None = None
    device: Literal["auto", "cpu"] = "auto"
    only: Literal["memory", "counters"] | None = None


def test_options_are_read():
    assert cli.parse(Options, ["--seeds", "3"], prog="x") == Options(seeds=3)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--seed", "3"], ["--seed", "did you mean --seeds?"]),
        (["--seeds", "x"], ["--seeds takes a whole number, not 'x'."]),
        (["--most", "1.5"], ["--most takes a whole number, not '1.5'."]),
        (["--budget", "soon"], ["--budget takes a number, not 'soon'."]),
        (["--most", "a'b"], ["--most"]),
        (["--seeds"], ["Missing value", "--seeds"]),
        (["--device", "gpu"], ["'gpu'", "one of auto, cpu."]),
        (["--only", "flops"], ["'flops'", "one of counters, memory."]),
        (["extra"], ["extra"]),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_type(argv, words, capsys):
    assert cli.run(lambda: bool(cli.parse(Options, argv, prog="python -m vitbench.x"))) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert all(word in err for word in [*words, "`python -m vitbench.x --help`"])


def test_help_is_printed_and_ends_well(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.parse(Options, ["--help"], prog="x")
    assert not stop.value.code
    assert "--seeds" in capsys.readouterr().out


def test_exit_statuses(capsys):
    def raises(error):
        def command():
            raise error

        return command

    assert cli.run(lambda: 1) == 1
    assert cli.run(raises(UserError("no such thing"))) == 2
    assert cli.run(raises(KeyboardInterrupt())) == 130
    assert "no such thing" in capsys.readouterr().err

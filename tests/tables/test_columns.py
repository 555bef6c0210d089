import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.tables import columns


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (columns.si, 86_567_656, "86.6 M"),
        (columns.si, 17_563_828_224, "17.6 G"),
        (columns.si, 999_999, "1.00 M"),
        (columns.si, 14_705, "14.7 k"),
        (columns.si, 42, "42"),
        (columns.significant, 1234.5, "1 234"),
        (columns.significant, 12.345, "12.3"),
        (columns.significant, 0.012345, "0.0123"),
        (columns.significant, 0, "0"),
        (columns.percent, 0.97361, "97.4"),
        (columns.points, -0.0313, "−3.1"),
        (columns.points, 0.0313, "+3.1"),
        (columns.points, -0.0001, "0.0"),
        (columns.ratio, 1.04999, "1.050"),
        (columns.text, (4, 8), "4×8"),
        (columns.text, 0.001, "0.001"),
        (columns.count, 6, "6"),
    ],
)
def test_numbers_as_readers_see_them(show, value, text):
    assert show(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    "show", [columns.si, columns.significant, columns.percent, columns.points, columns.ratio, columns.text]
)
@pytest.mark.parametrize("nothing", [None, math.nan, pd.NA])
def test_nothing_is_a_dash_and_never_a_zero(show, nothing):
    assert show(nothing) == "–"


@given(st.floats(1e-9, 1e15))
def test_significant_digits_are_within_half_a_unit(value):
    shown = float(columns.significant(value).replace("\N{NARROW NO-BREAK SPACE}", ""))
    assert shown == pytest.approx(value, rel=0.0051)

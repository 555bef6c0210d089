import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.tables import layout


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (layout.si, 86_567_656, "86.6 M"),
        (layout.si, 17_563_828_224, "17.6 G"),
        (layout.si, 999_999, "1.00 M"),
        (layout.si, 14_705, "14.7 k"),
        (layout.si, 42, "42"),
        (layout.significant, 1234.5, "1 234"),
        (layout.significant, 12.345, "12.3"),
        (layout.significant, 0.012345, "0.0123"),
        (layout.significant, 0, "0"),
        (layout.percent, 0.97361, "97.4"),
        (layout.points, -0.0313, "−3.1"),
        (layout.points, 0.0313, "+3.1"),
        (layout.points, -0.0001, "0.0"),
        (layout.ratio, 1.04999, "1.050"),
        (layout.text, (4, 8), "4×8"),
        (layout.text, 0.001, "0.001"),
        (layout.count, 6, "6"),
    ],
)
def test_numbers_as_readers_see_them(show, value, text):
    assert show(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    "show", [layout.si, layout.significant, layout.percent, layout.points, layout.ratio, layout.text]
)
@pytest.mark.parametrize("nothing", [None, math.nan, pd.NA])
def test_nothing_is_a_dash_and_never_a_zero(show, nothing):
    assert show(nothing) == "–"


@given(st.floats(1e-9, 1e15))
def test_significant_digits_are_within_half_a_unit(value):
    shown = float(layout.significant(value).replace("\N{NARROW NO-BREAK SPACE}", ""))
    assert shown == pytest.approx(value, rel=0.0051)

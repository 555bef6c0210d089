from hypothesis import given
from hypothesis import strategies as st

from vitbench.plots import style

NAMES = st.text(st.sampled_from("ab=,_1 "), max_size=60)


@given(NAMES, st.integers(4, 30))
def test_wrapping_loses_nothing_but_spaces_and_keeps_the_width(name, width):
    lines = style.wrapped(name, width)
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert all(len(line) <= width for line in lines)


def test_wrapping_breaks_after_a_comma_if_it_can():
    assert style.wrapped("embed_dim=128,num_heads=8,mlp_ratio=2", 26) == ["embed_dim=128,num_heads=8,", "mlp_ratio=2"]
    assert style.wrapped("embed_dim=128,num_heads=8", 16) == ["embed_dim=128,", "num_heads=8"]


@given(st.text(max_size=100))
def test_short_names_stay_and_long_ones_keep_both_ends(name):
    shown = style.short(name)
    assert len(shown) <= 40
    if len(name) <= 40:
        assert shown == " ".join(name.split())


def test_the_users_style_changes_nothing(tmp_path):
    import matplotlib as mpl
    from matplotlib.figure import Figure

    def svg(stem):
        with style.figure_style():
            figure = Figure(figsize=(2, 1))
            figure.subplots().plot([1, 2])
        return style.save(figure, tmp_path / stem)[0].read_bytes()

    plain = svg("plain")
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "none", "axes.facecolor": "red"}):
        assert svg("loud") == plain

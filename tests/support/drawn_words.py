"""What is written in a figure, and where."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

LONG = "embed_dim=192,num_heads=12,mlp_ratio=4.0,pos_embed=sincos2d"


def words(figure):
    """All visible text with its box."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    found = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    beyond = {id(tick.label1) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for tick in ticks(axis)}
    found = [t for t in found if (t.axes is None or t.axes.axison) and id(t) not in beyond]
    return [(t.get_text(), t.get_window_extent(renderer).padded(-0.5)) for t in found]


def ticks(axis):
    """Those outside the axes' limits, which are not drawn."""
    low, high = sorted(axis.get_view_interval())
    return [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]

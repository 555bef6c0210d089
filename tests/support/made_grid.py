"""A grid with planted effects, for tables, figures and reports of several axes at once."""

import itertools

import numpy as np

from tests.support.made_records import MIB, Made, draws
from vitbench.declare.variant import format_axes

AXES = {"depth": [2, 4, 8], "embed_dim": [32, 64], "pos_embed": ["learned", "none"]}
BASE = {"depth": 4, "embed_dim": 32, "pos_embed": "learned"}
HOLE = "depth=8,embed_dim=32,pos_embed=none"


def made_grid(folder, *, axes=AXES, base=BASE, seeds=6, without=(), design="grid", control=1.0, noise=0.004, draw=2):
    """A grid whose accuracy has planted effects: depth 2 loses 5 points, a width of 64 gains 4, no positions lose 10,
    and 8 blocks without positions lose 6 more; latency doubles with depth and with width, each by itself.
    """
    cells = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    cells.sort(key=lambda cell: cell != base)
    named = [("baseline" if cell == base else format_axes(cell), cell) for cell in cells]
    made = Made(
        folder, [{"name": name, "axes": cell} for name, cell in named], ablation="shape", seeds=seeds, axes=axes,
        question="What do depth, width and positions do together?", plan={"design": design},
    )  # fmt: skip
    rng, timed = np.random.default_rng(draw), {}
    shared = rng.normal(0, 0.01, seeds)  # what a seed does to every cell
    for name, cell in named:
        if name in without:
            continue
        mean = 0.8 - 0.05 * (cell["depth"] == 2) + 0.04 * (cell["embed_dim"] == 64)
        mean -= 0.1 * (cell["pos_embed"] == "none") + 0.06 * (cell["pos_embed"] == "none" and cell["depth"] == 8)
        own = [draws(rng, mean + of_seed, noise, 1)[0] for of_seed in shared]
        made.accuracy(name, own, curves=False)
        macs = 1000 * cell["depth"] * cell["embed_dim"] ** 2
        made.cost(name, params=macs // 10, macs=macs)
        made.memory(name, inference=cell["depth"] * MIB, training=3 * cell["depth"] * MIB)
        timed[name] = 1e-4 * cell["depth"] * cell["embed_dim"]
    made.timing(timed, control=control)
    made.timing({name: 4 * seconds for name, seconds in timed.items()}, kind="train_step", session="t1")
    return made

"""``vitbench.load``: a DataFrame to every program, the report's table to a notebook."""

import html
import pickle
import re
import subprocess
import sys

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

import vitbench
from tests.support.made_records import Made, pos_embed, vit_vs_resnet
from tests.support.reading import Reader
from vitbench import report, tables
from vitbench.utils.errors import UserError

HOSTILE = "<script>alert(1)</script> & \"'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("notebook")
    pos_embed(path)
    return path


@pytest.fixture(scope="module")
def results(folder):
    return vitbench.load(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two variants, and few figures."""
    path = tmp_path_factory.mktemp("small")
    made = Made(path, [{"name": "a"}, {"name": "b"}])
    for name, mean in (("a", 0.5), ("b", 0.6)):
        made.accuracy(name, [mean, mean + 0.01, mean, mean - 0.01, mean, mean + 0.02], curves=False)
    made.timing({"a": 2e-3, "b": 2.4e-3})
    report.write(path)
    return path


def words(source):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", source)).split())


def test_it_is_the_table(folder, results):
    assert isinstance(results, pd.DataFrame)
    pd.testing.assert_frame_equal(pd.DataFrame(results), tables.load(folder))
    assert str(results) == str(tables.load(folder))


def test_it_is_the_file_beside_the_report(small):
    own, written = vitbench.load(small), pd.read_csv(small / "table.csv")
    numbers = own.select_dtypes("number").columns
    assert list(own.columns) == list(written.columns)
    np.testing.assert_allclose(written[numbers].astype(float), own[numbers].astype(float), rtol=1e-12)


def test_a_notebook_shows_the_reports_table(results):
    shown = results._repr_html_()
    tags = Reader(shown)
    assert len(tags.all("tr")) == 6
    assert all(a["scope"] in {"row", "col"} for a in tags.all("th"))
    text = words(shown)
    assert "Does a ViT need position embeddings, and which kind?" in text
    assert "pos_embed=learned 97.4 [96.4, 98.3] baseline" in text
    assert "worse by 31.3 points [" in text


def test_what_is_picked_from_it_is_shown_so_and_knows_its_study(results):
    slow = results[results["latency_ratio"] > 1.05]
    assert len(slow) == 2
    assert len(Reader(slow._repr_html_()).all("tr")) == 3
    for part in (slow, results.head(2), results.sort_values("accuracy"), results.copy(), results.query("seeds > 1")):
        assert part.records == results.records
        assert "Accuracy vs baseline" in part._repr_html_()
    assert pickle.loads(pickle.dumps(results)).records == results.records


def test_with_columns_gone_pandas_shows_it(results):
    for part in (results[["variant", "accuracy"]], results.set_index("variant"), results.iloc[:0]):
        shown = part._repr_html_()
        assert 'class="dataframe"' in shown
    assert isinstance(results["accuracy"], pd.Series)
    with pd.option_context("display.notebook_repr_html", False):
        assert results._repr_html_() is None


def test_records_are_the_raw_samples(results):
    latency = next(r for r in results.records if r.kind == "latency")
    wall = latency.samples["wall"]
    assert wall["unit"] == "s"
    assert np.shape(wall["values"]) == (12, 12)
    assert sum(r.kind == "accuracy" for r in results.records) == 30


def test_figures_are_matplotlibs_and_shown_with_alternative_texts(small):
    figures = vitbench.load(small).figures()
    assert {f"{name}.svg" for name in figures} == {path.name for path in (small / "figures").glob("*.svg")}
    assert all(isinstance(figure, matplotlib.figure.Figure) for figure in figures.values())
    images = Reader(figures._repr_html_()).all("img")
    assert len(images) == len(figures)
    assert all(len(a["alt"]) > 20 and a["src"].startswith("data:image/svg+xml;base64,") for a in images)


def test_report_is_the_page_that_is_written(small):
    page = vitbench.load(small).report
    assert page == (small / "report.html").read_text(encoding="utf-8")
    (frame,) = Reader(page._repr_html_()).all("iframe")
    assert frame["srcdoc"] == page
    assert frame["title"]


def test_several_folders_are_read_as_one(tmp_path):
    for name in ("one", "two"):
        Made(tmp_path / name, [{"name": "a"}, {"name": f"only in {name}"}])
    merged = vitbench.load(tmp_path / "one", tmp_path / "two")
    assert list(merged["variant"]) == ["a", "only in one", "only in two"]
    assert "only in two" in merged._repr_html_()


def test_frames_put_together_do_not_know_their_records(folder, results, tmp_path):
    vit_vs_resnet(tmp_path)
    both = pd.concat([results, vitbench.load(tmp_path)])
    assert 'class="dataframe"' in both._repr_html_()
    for ask in (lambda: both.records, both.figures, lambda: both.report):
        with pytest.raises(UserError, match=r"vitbench\.load\(DIR\)"):
            ask()


def test_a_folder_without_records_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="unknown results folder"):
        vitbench.load(tmp_path / "nowhere")


def test_names_stay_text(tmp_path):
    Made(tmp_path, [{"name": HOSTILE}, {"name": "b"}], question=HOSTILE)
    shown = vitbench.load(tmp_path)._repr_html_()
    assert "<script" not in shown
    assert shown.count(html.escape(HOSTILE)) == 2  # the question, and the row


def test_a_table_alone_loads_neither_torch_nor_what_draws():
    code = "import sys, vitbench; vitbench.load; print({'torch', 'matplotlib', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

import re

from tests.support.made_records import pos_embed, vit_vs_resnet
from vitbench import tables
from vitbench.report import result_tables
from vitbench.report.page import failures


def parts(folder):
    study = tables.read_study(folder)
    compared = tables.comparisons(study)
    return study, tables.table(study, compared), compared


def test_every_measured_number_has_an_interval_or_says_that_it_has_none(tmp_path):
    pos_embed(tmp_path)
    study, table, compared = parts(tmp_path)
    for row in result_tables.results(table, compared, baseline=study.baseline).rows:
        for cell in (row[1], row[3]):
            assert re.fullmatch(r"\[[\d.]+, [\d.]+\]", cell.small)
    for row in result_tables.all_comparisons(compared).rows:
        assert row[2].small.startswith("[")
        assert re.fullmatch(r"(6 seeds|12 blocks)", row[4].text)
    costs = result_tables.costs(study, table)
    assert "exact and need no interval" in costs.caption
    assert "geometric mean of 3 windows of 2.00 s, in brackets its 95% interval" in costs.caption
    assert all(row[-1].small.startswith("[") for row in costs.rows)


def test_one_seed_has_no_interval_and_says_so(tmp_path):
    pos_embed(tmp_path, seeds=1)
    study, table, compared = parts(tmp_path)
    assert {row[1].small for row in result_tables.results(table, compared, baseline=study.baseline).rows} == {
        "no interval"
    }


def test_failed_and_skipped_variants_are_in_every_table(tmp_path):
    vit_vs_resnet(tmp_path)
    study, table, compared = parts(tmp_path)
    results = result_tables.results(table, compared, baseline=study.baseline)
    assert (
        len(results.rows)
        == len(result_tables.costs(study, table).rows)
        == len(result_tables.accuracy_by_seed(study).rows)
        == 12
    )
    assert results.heads[1] == "Family"
    assert [(t.variant, t.status) for t in failures(table)] == [
        ("patch_size=3", "skipped"),
        ("depth=8", "diverged"),
        ("embed_dim=256", "out of memory"),
    ]


def test_good_and_bad_news_are_told_apart(tmp_path):
    pos_embed(tmp_path)
    study, table, compared = parts(tmp_path)
    tones = {
        row[0].text: (row[2].tone, row[4].tone)
        for row in result_tables.results(table, compared, baseline=study.baseline).rows
    }
    assert tones["pos_embed=none"] == ("bad", "")
    assert tones["pos_embed=rope"] == ("", "bad")

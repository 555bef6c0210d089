"""``table.tex``: its structure in any case, and that TeX takes it where there is one."""

import re
import shutil
import subprocess

import pytest

from tests.support.made_records import Made, pos_embed
from tests.support.reading import tokens
from vitbench import tables
from vitbench.report import page, tex_file
from vitbench.utils.latex import PACKAGES

HOSTILE = r"a|b_c 100% & #1 {x} ~^\end{tabular} $x$ naïve 日本 \input{/etc/passwd}"


def written(folder):
    """What the report writes, without its figures."""
    study = tables.read_study(folder)
    compared = tables.comparisons(study)
    return tex_file.render(page.compose(study, tables.table(study, compared), compared, []))


def tabulars(source):
    """Of each table: its columns, and its rows as lists of cells."""
    for found in re.finditer(r"\\begin\{tabular\}\{([^\n]*)\}\n(.*?)\\end\{tabular\}", source, flags=re.DOTALL):
        columns = re.sub(r">\{[^{}]*\}|\{\w+\}", "", found[1])
        lines = [line for line in found[2].splitlines() if not re.fullmatch(r"\\(top|mid|bottom)rule", line)]
        assert all(line.endswith(r" \\") for line in lines)
        yield columns, [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]


def check_structure(source):
    """Groups and environments close in turn, mathematics closes, and every row has a cell for each column."""
    body = re.sub(r"^%.*\n", "", source, flags=re.MULTILINE)
    depth = 0
    for token in tokens(body.replace("#2", "").replace("#1", "")):
        depth += (token == "{") - (token == "}")
        assert depth >= 0
        assert token not in {"%", "#", "_"}
    assert depth == 0
    assert body.count("$") % 2 == 0
    opened = []
    for side, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        if side == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    for columns, rows in tabulars(source):
        assert re.fullmatch("[lrp]+", columns)
        assert {len(row) for row in rows} == {len(columns)}


def test_every_number_stands_with_its_interval(tmp_path):
    pos_embed(tmp_path)
    source = written(tmp_path)
    check_structure(source)
    results, costs = tabulars(source)
    assert len(results[1]) == len(costs[1]) == 1 + 5
    for row in results[1][1:]:
        assert re.fullmatch(r"\$(\\mathbf\{)?[\d.]+\}?\\ \[[\d.]+, [\d.]+\]\$", row[1])
        assert re.fullmatch(r"\$(\\mathbf\{)?[\d.]+\}?\\ \[[\d.]+, [\d.]+\]\$", row[3])
    assert results[1][1][:3] == [r"\texttt{pos\_embed=learned}", r"$97.4\ [96.4, 98.3]$", "baseline"]
    assert re.fullmatch(r"worse by 31\.3 points \$\[[\d.]+, [\d.]+\]\$", results[1][2][2])
    assert r"\label{tab:pos-embed-results}" in source
    assert "python -m vitbench.report" in source.splitlines()[1]


def test_bold_is_a_verdict_and_never_a_mere_maximum(tmp_path):
    pos_embed(tmp_path / "none")  # rope's accuracy is the highest, and no verdict says that it is better
    assert r"\mathbf" not in written(tmp_path / "none")
    made = Made(tmp_path / "some", [{"name": "a"}, {"name": "b"}, {"name": "c"}])
    made.accuracy("a", [0.5, 0.51, 0.5, 0.49, 0.5, 0.51], curves=False)
    made.accuracy("b", [0.6, 0.61, 0.61, 0.59, 0.6, 0.62], curves=False)
    made.accuracy("c", [0.4, 0.41, 0.4, 0.39, 0.41, 0.4], curves=False)
    made.timing({"a": 2e-3, "b": 2.4e-3, "c": 1.5e-3})
    source = written(tmp_path / "some")
    (results, _) = tabulars(source)
    bold = {row[0]: (r"\mathbf" in row[1], r"\mathbf" in row[3]) for row in results[1][1:]}
    assert bold == {r"\texttt{a}": (False, False), r"\texttt{b}": (True, False), r"\texttt{c}": (False, True)}
    assert "Bold: better or faster than the baseline" in source


def hostile(folder):
    made = Made(folder, [{"name": HOSTILE}, {"name": "b", "reason": HOSTILE}], ablation=HOSTILE, question=HOSTILE)
    made.accuracy(HOSTILE, [0.5, 0.6], curves=False)
    made.fail("latency", HOSTILE, "failed", HOSTILE)


def test_names_cannot_become_commands(tmp_path):
    hostile(tmp_path)
    source = written(tmp_path)
    check_structure(source)
    assert r"\input{/etc" not in source
    assert source.count(r"\end{tabular}") == 2
    assert r"na\"{i}ve \vitbenchletter{65E5}{日}" in source
    assert r"\DeclareRobustCommand\vitbenchletter" in source


def test_the_report_leaves_it_with_the_tables_beside_its_figures(twelve):
    source = (twelve / "table.tex").read_text(encoding="utf-8")
    check_structure(source)
    assert source.startswith(written(twelve).rstrip("\n"))
    beside = len(re.findall("<table>", (twelve / "report.html").read_text(encoding="utf-8"))) - 4
    assert len(list(tabulars(source))) == 2 + beside


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex", "lualatex"])
def test_tex_takes_it(tmp_path, engine, twelve):
    if shutil.which(engine) is None:
        pytest.skip(f"no {engine} here: apt-get install texlive-latex-recommended texlive-xetex texlive-luatex")
    pos_embed(tmp_path / "plain")
    hostile(tmp_path / "hostile")
    for name in ("plain", "hostile"):
        (tmp_path / name / "table.tex").write_text(written(tmp_path / name), encoding="utf-8")
    shutil.copy(twelve / "table.tex", tmp_path)
    (tmp_path / "paper.tex").write_text(
        rf"\documentclass{{article}}\usepackage[landscape,margin=1cm]{{geometry}}{PACKAGES}"
        "\n\\begin{document}\n\\input{table}\\input{plain/table}\\input{hostile/table}\n\\end{document}\n"
    )
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-3000:]
    assert "Overfull" not in log, re.findall("Overfull.*", log)
    assert (tmp_path / "paper.pdf").stat().st_size > 1000

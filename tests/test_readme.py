"""No number stands in the README that a command did not produce: its table is the published report's."""

import re
from pathlib import Path

import pytest

from vitbench import report
from vitbench.declare import discovery

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_the_published_one():
    (block,) = re.finditer(r"<!-- table: (\S+) -->\n(.*?)\n<!-- end -->", README, flags=re.DOTALL)
    assert len(block[2].splitlines()) > 5
    assert block[2] in (ROOT / block[1]).read_text(encoding="utf-8")


def test_every_link_leads_somewhere():
    links = [link for link in re.findall(r"\]\((\S+?)\)", README) if "://" not in link]
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_ablation_can_be_run(tmp_path):
    example = next(
        block for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "ABLATION" in block
    )
    (tmp_path / "mlp.py").write_text(example, encoding="utf-8")
    loaded = discovery.load(str(tmp_path / "mlp.py"))
    assert all(variant.model is not None for variant in loaded.ablation.variants())
    names = [variant.name for variant in loaded.ablation.variants()]
    assert names == ["baseline", "mlp_ratio=1", "mlp_ratio=2", "train.lr=0.001", "resnet18", "resnet18,train.lr=0.001"]


def test_its_commands_name_what_exists():
    names = {listing.name for listing in discovery.listings()}
    assert set(re.findall(r"vitbench\.ablate (\w+)", README)) - {"mlp"} <= names
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    sessions = set(re.findall(r"^def (\w+)\(session", noxfile, flags=re.MULTILINE))
    assert set(re.findall(r"nox -s (\w+)", README)) <= sessions


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted((ROOT / "results" / "published").glob("*/*")), ids=lambda path: path.name)
def test_published_reports_rebuild_byte_for_byte(folder, tmp_path):
    copy = tmp_path / folder.name
    (copy / "artifacts").mkdir(parents=True)
    for path in [*folder.glob("*.jsonl"), *folder.glob("artifacts/*.npz")]:
        (copy / path.relative_to(folder)).write_bytes(path.read_bytes())
    report.write(copy)
    derived = [path.relative_to(copy) for path in copy.rglob("*") if path.is_file()]
    changed = [str(path) for path in derived if (copy / path).read_bytes() != (folder / path).read_bytes()]
    assert changed == []

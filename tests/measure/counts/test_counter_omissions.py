"""What other counters drop, against arithmetic; and the pages of ``docs`` against the commands that made them."""

import re
import shlex
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.declare.zoo import zoo
from vitbench.measure import memory
from vitbench.measure.__main__ import main
from vitbench.measure.counts import closed_form, counter_omissions
from vitbench.models import build

DOCS = Path(__file__).parents[3] / "docs"
SMALL = ViTConfig(img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=2, num_classes=10)


def scores_and_values(config):
    tokens = config.num_patches + config.num_prefix_tokens
    return config.depth * 2 * tokens**2 * config.embed_dim


@pytest.mark.parametrize("config", [SMALL, zoo("vit_tiny_patch16_224")], ids=["small", "Ti/16"])
def test_the_cpus_counter_drops_attention_and_nothing_else(config):
    found = counter_omissions.omitted_macs(config)
    assert found["macs"] == closed_form.closed_form(config).macs
    assert found["macs"] - found["torch_cpu_macs"] == found["attention_macs"] == scores_and_values(config)
    norms = found["fvcore_macs"] - found["torch_cpu_macs"]
    tokens = config.num_patches + config.num_prefix_tokens
    assert norms == 5 * config.embed_dim * (2 * config.depth * tokens + 1)  # the last norm sees the class token alone


def test_torchs_layers_are_one_operation_to_torch_and_half_of_one_to_fvcore():
    found = counter_omissions.omitted_macs(SMALL)
    tokens, width, hidden = SMALL.num_patches + 1, SMALL.embed_dim, SMALL.mlp_dim
    patches_and_head = SMALL.num_patches * 3 * 64 * width + width * SMALL.num_classes
    assert found["layers_torch_cpu_macs"] == patches_and_head
    mlps = SMALL.depth * 2 * tokens * width * hidden
    assert found["layers_fvcore_macs"] - patches_and_head == pytest.approx(mlps, rel=0.05)  # and norms


def test_what_is_counted_without_data_is_what_is_counted_with_it():
    module = build(SMALL).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() // 2 == counter_omissions.on_the_cpu(module, (torch.zeros(1, 3, 32, 32),))
    layers = counter_omissions.torchs_layers(SMALL)
    with torch.no_grad(), warnings.catch_warnings(), FlopCounterMode(display=False) as counter:
        warnings.simplefilter("ignore")
        layers(torch.zeros(1, 17, 64))
    assert counter.get_total_flops() == 2 * counter_omissions.on_the_cpu(layers, (torch.zeros(1, 17, 64),)) == 0


@pytest.mark.parametrize(
    "config",
    [
        ResNetConfig(depth=18, img_size=32, width=8),
        ViTConfig(img_size=32, patch_size=8, embed_dim=48, depth=1, num_heads=3),
    ],
    ids=["ResNet", "odd heads"],
)
def test_what_has_no_such_layers_has_no_number(config):
    found = counter_omissions.omitted_macs(config)
    assert found["layers_torch_cpu_macs"] is found["layers_fvcore_macs"] is None
    assert counter_omissions.cells([{"model": "m", "img_size": 32, **found}])[0][-1] == counter_omissions.NONE


def page(name):
    """The command of a page, as arguments, and its output as the page has it."""
    text = (DOCS / name).read_text()
    (command,) = re.findall(r"^    python -m vitbench\.measure (.*--only.*)$", text, re.MULTILINE)
    (output,) = re.findall(r"<!-- output -->\n(.*?)<!-- end -->", text, re.DOTALL)
    return shlex.split(command), output


def grid(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]


def test_the_page_of_counters_is_what_its_command_says(capsys):
    """Its first model at its first size; all of it in the nightly test."""
    (first, *_), output = page("flops.md")
    assert main([first, "--img-size", "224", "--only", "counters", "--format", "markdown"]) == 0
    assert output.startswith(capsys.readouterr().out)


@pytest.mark.nightly("counts")
def test_the_page_of_counters_is_all_that_its_command_says(capsys):
    argv, output = page("flops.md")
    assert main(argv) == 0
    assert capsys.readouterr().out == output


@pytest.mark.parametrize(("step", "training"), [("inference", False), ("training", True)])
def test_the_page_of_memory_has_what_is_modelled(step, training):
    """Of its first model; all of it, and what was really allocated and resident, in the nightly test."""
    (name, *_), output = page("memory.md")
    (said,) = (line[2:8] for line in grid(output) if line[:2] == [name, step])
    peak = memory(zoo(name), batch_size=4, training=training)
    parts = (peak.parameters, peak.gradients, peak.optimizer, peak.activations, peak.workspace, peak.bytes)
    assert said == [f"{part / 2**20:.2f}" for part in parts]


@pytest.mark.nightly("counts")
def test_the_page_of_memory_is_what_its_command_says(capsys):
    """To the digit but for what is allocated and resident, where another machine's kernels may need more or less."""
    argv, output = page("memory.md")
    assert main(argv) == 0
    ours, theirs = grid(capsys.readouterr().out), grid(output)
    assert [line[:9] for line in ours] == [line[:9] for line in theirs]
    for mine, written in zip(ours[2:], theirs[2:], strict=True):
        for ran, said in zip(mine[9:], written[9:], strict=True):
            assert float(ran.split()[0]) == pytest.approx(float(said.split()[0]), rel=0.05)

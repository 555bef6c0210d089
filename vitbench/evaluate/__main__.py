"""``python -m vitbench.evaluate MODEL --weights FILE --data folder:PATH``: evaluates a checkpoint on a test split."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from vitbench.utils import cli, display, threads
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from vitbench.data import DataSpec
    from vitbench.evaluate.display import Results
    from vitbench.evaluate.request import PreparedEvaluation

PROG = "python -m vitbench.evaluate"
EXAMPLE = f"{PROG} vit_base_patch16_224 --weights FILE --data folder:PATH"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Evaluate a checkpoint on a test split: accuracy (top-1, top-5, per class), calibration error and throughput.

    Nothing is trained or downloaded. Images are resized, cropped and normalised as the checkpoint's authors do; the
    notes under the table name each step.
    """

    model: Annotated[str | None, tyro.conf.Positional, cli.option("MODEL", "none")] = None
    """Name a zoo model (vit_base_patch16_224, resnet50), or auto to infer the model from the file."""
    weights: Annotated[str | None, cli.option("FILE", "none")] = None
    """Read weights from a .pth, .safetensors or .npz file: vitbench's, timm's, DeiT's, torchvision's, Hugging Face's or
    Google's."""
    data: Annotated[str | None, cli.option("NAME", "none")] = None
    """Evaluate on this data set: folder:PATH, imagenet:PATH, cifar10:PATH, digits …"""
    img_size: Annotated[int | None, cli.option("PX", "the model's own")] = None
    """Set the side of the images; position embeddings are resized to match."""
    batch_size: int = 32
    """Set the number of images per call."""
    normalise: Annotated[str | None, cli.option("WORD", "as the checkpoint's family")] = None
    """Normalise by data (mean and deviation of the training split), imagenet, or half (0.5 and 0.5)."""
    crop: Annotated[float | None, cli.option("SHARE", "as the checkpoint's family")] = None
    """Crop this share of the shorter side from the centre, up to 1."""
    interpolation: Annotated[str | None, cli.option("WORD", "as the checkpoint's family")] = None
    """Resize images with bilinear or bicubic interpolation, with antialiasing."""
    class_map: Annotated[str | None, cli.option("FILE", "outputs in the order of the classes")] = None
    """Map classes to outputs by a file with one line per class: name,output."""
    device: str = "auto"
    """Run on this device: auto, cpu or cuda."""
    threads: int = 1
    """Set the number of torch threads on the CPU."""
    workers: int = 1
    """Decode image files in this many processes beside the model."""
    throughput: bool = True
    """Measure throughput too, which takes some seconds."""
    format: display.Format = "table"
    """Choose the output format; csv and json have full precision and every class. Notes go to stderr, except under a
    table."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 evaluated, 2 invalid request, 130 interrupted."""
    return cli.run(lambda: evaluate(cli.parse(Options, argv, prog=PROG)))


def evaluate(options: Options) -> int:
    """Evaluates the checkpoint, prints the results and returns the exit status.

    Raises:
        UserError: the request is invalid.
    """
    for word, value in (("model", options.model), ("--weights", options.weights), ("--data", options.data)):
        if value is None:
            raise UserError(f"{word} is missing: type {EXAMPLE}")
    for word in ("batch_size", "threads"):
        if getattr(options, word) < 1:
            raise UserError(f"--{word.replace('_', '-')} {getattr(options, word)} is too small: give at least 1")
    if options.img_size is not None and options.img_size < 1:
        raise UserError(f"--img-size {options.img_size} is too small: give at least 1")
    if options.workers < 0:
        raise UserError(f"--workers {options.workers} is too small: give at least 0")
    threads.set_environment(options.threads)
    cli.import_from_here()

    import torch

    from vitbench.evaluate.display import write

    torch.set_num_threads(options.threads)
    try:
        results = _results(options)
    except KeyboardInterrupt:
        print("vitbench: interrupted; nothing was saved, so the same command starts over", file=sys.stderr)
        return cli.INTERRUPTED
    finally:
        cli.progress("")
    write(results, options.format)
    print("\n".join(results.notes), file=sys.stdout if options.format == "table" else sys.stderr)
    return 0


def _results(options: Options) -> Results:
    import torch

    from vitbench.devices import resolve_device
    from vitbench.evaluate.display import Results
    from vitbench.evaluate.request import prepare
    from vitbench.evaluate.scoring import Clock, logits_of, score, throughput

    device = resolve_device(options.device)
    cli.progress("reading weights and data")
    ready = prepare(
        str(options.model),
        str(options.weights),
        str(options.data),
        img_size=options.img_size,
        normalise=options.normalise,
        crop=options.crop,
        interpolation=options.interpolation,
        class_map_file=options.class_map,
        device=device,
    )
    spec, inputs = ready.dataset.spec, (ready.model, ready.dataset, ready.images)
    start = time.perf_counter()
    logits = logits_of(
        *inputs,
        batch_size=options.batch_size,
        device=device,
        workers=options.workers,
        outputs=ready.outputs,
        progress=Clock(cli.progress),
    )
    seconds = time.perf_counter() - start
    cli.progress("calibration")
    scores = score(logits, ready.dataset.test.labels, spec.classes)
    cli.progress("throughput")
    rate = throughput(*inputs, batch_size=options.batch_size, device=device) if options.throughput else None
    scope = {
        "model": options.model,
        "weights": options.weights,
        "data": options.data,
        "data_version": spec.version,
        "test_images": spec.num_test,
        "img_size": ready.images.side,
        "interpolation": ready.images.interpolation,
        "batch_size": options.batch_size,
        "device": device,
        "threads": options.threads,
        "torch": torch.__version__,
    }
    return Results(scores, rate, scope, _notes(options, ready, scores, seconds))


def _notes(options: Options, ready: PreparedEvaluation, scores: Any, seconds: float) -> list[str]:
    """Lines on what the numbers apply to, how they were obtained, and their limitations."""
    from vitbench.evaluate.display import SHOWN_CLASSES

    spec = ready.dataset.spec
    lines = [
        f"{options.weights}, format {ready.report}",
        *(f"assumed: {text}" for text in ready.assumptions),
        _describe(str(options.data), spec),
        ready.images.description,
    ]
    if ready.outputs is None:
        lines.append(f"outputs 0 to {spec.num_classes - 1} are the classes in the order of the data set")
    else:
        lines.append(f"outputs are mapped to classes by {options.class_map}; other outputs are ignored")
    error = scores.calibration
    lines.append(
        f"calibration error is corrected for its bias on so few images ({100 * error.expected:.1f} points); "
        f"uncorrected it is {100 * error.plain:.1f}"
    )
    lines.append(
        "intervals are over images (throughput: over windows of calls); "
        "they do not cover the variation between training runs"
    )
    if len(scores.classes) > SHOWN_CLASSES and options.format in {"table", "markdown", "latex"}:
        lines.append(
            f"the {SHOWN_CLASSES} classes with the lowest accuracy are shown; --format csv has all {spec.num_classes}"
        )
    lines.append(f"one pass over the test images took {seconds:.1f} s")
    return lines


def _describe(data: str, spec: DataSpec) -> str:
    total = spec.num_train + spec.num_val + spec.num_test
    chance = f"always predicting the most frequent class scores {spec.chance:.1%}"
    return f"{data}: {spec.num_test} of {total} images are the test split; {spec.num_classes} classes; {chance}"


if __name__ == "__main__":
    sys.exit(main())

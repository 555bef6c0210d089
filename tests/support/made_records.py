"""Results folders made by hand: planted accuracies and latencies, written as the run writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitbench.records.codec import dumps
from vitbench.records.identity import identity, plain
from vitbench.records.record import Environment, Record

DATA = {
    "name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10,
    "classes": [str(i) for i in range(10)], "num_train": 1077, "num_val": 360, "num_test": 360,
    "shift": True, "flip": False, "chance": 0.1,
}  # fmt: skip
SETTINGS = {
    "data": {"name": "digits", "version": "1"},
    "train": {"type": "TrainConfig", "epochs": 30, "batch_size": 64, "lr": 0.002},
    "measure": {"type": "MeasureConfig", "batch_size": 8, "dtype": "float32", "threads": 1, "blocks": 12, "cycles": 6},
    "baseline": {"type": "ViTConfig", "depth": 4},
    "device": "cpu",
}
ENVIRONMENT = {
    "host": "bench-1",
    "system": "Linux-6.1-x86_64",
    "python": "3.11.9",
    "packages": {"torch": "2.13.0+cpu", "numpy": "2.4.6"},
    "cpu": {"model": "Some CPU @ 2.5 GHz", "cores": 2, "affinity": [0, 1], "governor": "not available"},
    "threads": 1,
    "torch": {"version": "2.13.0+cpu", "config": "PyTorch built with:\n  - GCC 13.3\n  - OpenMP 201511\n  - MKL-DNN"},
}
MIB = 2**20


class Made:
    """A results folder under construction; every method appends records as a run would."""

    def __init__(
        self,
        folder: Path,
        variants: Sequence[Mapping[str, Any]],
        *,
        ablation: str = "pos_embed",
        question: str = "Does a ViT need position embeddings, and which kind?",
        axes: Mapping[str, list[Any]] | None = None,
        claims: Sequence[Mapping[str, Any]] = (),
        settings: Mapping[str, Any] | None = None,
        chance: float = 0.1,
        seeds: int = 6,
        plan: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.ablation, self.seeds = folder, ablation, seeds
        self.settings = {**SETTINGS, **(settings or {})}
        self.planned = [
            {
                "name": v["name"],
                "axes": v.get("axes", {}),
                "family": v.get("family", "ViT"),
                "is_baseline": i == 0,
                "is_reference": v.get("is_reference", False),
                "config": None if v.get("reason") else v.get("config", {"type": "ViTConfig", "name": v["name"]}),
                "reason": v.get("reason"),
                **{key: v[key] for key in ("curve", "images") if key in v},
            }
            for i, v in enumerate(variants)
        ]
        self.rng = np.random.default_rng(7)
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        (folder / "environments.jsonl").unlink(missing_ok=True)
        self.components = {"models": 1}
        self.on()
        self.values = {
            "question": question,
            "summary": f"{question}\n\n    python -m vitbench.ablate {ablation}\n\nExpected: see the source.",
            "command": f"python -m vitbench.ablate {ablation}",
            "design": "one_at_a_time",
            "seeds": seeds,
            "baseline": variants[0]["name"],
            "axes": dict(axes or {}),
            "variants": self.planned,
            "claims": list(claims),
            "data": {**DATA, "chance": chance},
            "margins": {"latency": 0.01, "accuracy": 0.01},
            "device": "cpu",
            **(plan or {}),
        }
        self.append("plan", "", config=self.settings["baseline"], settings=self.settings, values=self.values)
        for v in self.planned:
            if v["reason"]:
                self.append("skip", v["name"], status="skipped", reason=v["reason"])

    def on(self, **changes: Any) -> None:
        """From here on records are of this machine, which is the usual one but for the changes."""
        environment = Environment({**ENVIRONMENT, **changes})
        self.environment = environment.hash
        line = dumps({"hash": environment.hash, "body": plain(environment.body)}) + "\n"
        with (self.folder / "environments.jsonl").open("a") as file:
            file.write(line)

    def append(self, kind: str, variant: str, **rest: Any) -> Record:
        planned = next((v for v in self.planned if v["name"] == variant), {})
        rest.setdefault("config", planned.get("config"))
        rest.setdefault("settings", self._settings(kind, planned.get("axes", {})))
        record = Record(
            id=identity(kind, rest["config"], components=(), seed=rest.get("seed"), session=rest.get("session"),
                        settings=rest["settings"]),
            ablation=self.ablation, kind=kind, variant=variant, axes=planned.get("axes", {}),
            environment=self.environment,
            code={"vitbench": "0.1.0", "commit": "abc1234", "dirty": False, "components": self.components},
            started="2026-01-02T03:04:05.000+00:00", seconds=1.0, **rest,
        )  # fmt: skip
        with (self.folder / "records.jsonl").open("a") as file:
            file.write(record.line() + "\n")
        return record

    def _settings(self, kind: str, axes: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "cost":
            return {}
        if kind == "accuracy":
            return {"device": self.settings["device"], "threads": 1}
        measure = {k: v for k, v in self.settings["measure"].items() if k != "type"}
        own = {axis.removeprefix("measure."): v for axis, v in axes.items() if axis.startswith("measure.")}
        return {"device": self.settings["device"], **measure, **own}

    def cost(self, variant: str, *, params: int, macs: int, findings: Sequence[str] = ()) -> None:
        methods = {name: {"macs": macs, "macs_backward": 2 * macs} for name in ("closed_form", "torch_meta", "fvcore")}
        values = {"params": params, "macs": macs, "flops": 2 * macs, "activations": macs // 100, "complete": True,
                  "methods": methods, "findings": list(findings), "by_module": {"": macs}}  # fmt: skip
        self.append("cost", variant, values=values)

    def memory(self, variant: str, *, inference: int, training: int, traffic: Mapping[str, int] | None = None) -> None:
        def ledger(total: int) -> dict[str, int]:
            return {"bytes": total, "parameters": total // 2, "gradients": 0, "optimizer": 0, "activations": total // 2}

        values = {"inference": ledger(inference), "training": ledger(training), "batch_size": 8}
        values |= {"traffic": dict(traffic)} if traffic else {}
        self.append("memory", variant, values=values)

    def ceiling(
        self, *, flop_per_s: float | None, bytes_per_s: float, ops_per_s: float | None, dtype: str = "float32",
        threads: int = 1,
    ) -> None:  # fmt: skip
        """The machine's ceilings, in six windows that scatter by a per cent, of every variant under these settings."""
        rates = {"matmul": flop_per_s, "copy": bytes_per_s, "start": ops_per_s}
        spread = 1 + 0.01 * np.array([-1, 1, -1, 1, -1, 1]) / np.sqrt(1.2)
        samples = {key: {"unit": "", "values": list(rate * spread)} for key, rate in rates.items() if rate}
        values = {"dtype": dtype, "threads": threads, "device": "cpu", "tf32": False, "reasons": {}}
        for v in self.planned:
            settings = {"device": "cpu", "dtype": dtype, "threads": threads, "windows": 6}
            asked = self._settings("ceiling", v["axes"])
            if v["reason"] is None and all(asked[key] == settings[key] for key in ("dtype", "threads")):
                self.append("ceiling", v["name"], settings=settings, values=values, samples=samples)

    def timing(
        self, medians_s: Mapping[str, float], *, control: float = 1.0, kind: str = "latency", session: str = "s1",
        blocks: int = 12, cycles: int = 6, noise: float = 0.004,
        about: Mapping[str, Any] | None = None, processes: Sequence[int] = (), slopes: Mapping[str, float] = {},
    ) -> None:  # fmt: skip
        """One session; each block shares a drift, each call has its own noise.

        ``about`` is added to the control's values, which by default have no interim looks and no noise grade.
        ``slopes``: by what share of its time a variant becomes slower with each block. A training step has phases, half
        of it forward, when ``about`` is given.
        """
        session_values = {"looks": [], "stop_reason": "every block timed", "block_seconds": [1.0] * blocks}
        drift = np.exp(self.rng.normal(0, 0.02, (blocks, 1)))
        size = {"session_size": len(medians_s) + 1}
        baseline = self.values["baseline"]
        rows = [(kind, name, seconds) for name, seconds in medians_s.items()]
        rows.append((f"{kind}_control", baseline, medians_s[baseline] * control))
        for row, name, seconds in rows:
            placement = np.exp(self.rng.normal(0, noise, (blocks, 1)))
            calls = seconds * drift * placement * np.exp(self.rng.normal(0, noise, (blocks, 2 * cycles)))
            calls = (calls * (1 + slopes.get(name, 0.0) * np.arange(blocks)[:, None])).round(9)
            samples = {key: {"unit": "s", "values": calls} for key in ("wall", "cpu")}
            if kind == "train_step" and about is not None:
                shares = {"forward": 0.5, "backward": 0.375, "optimizer": 0.125}
                samples |= {phase: {"unit": "s", "values": calls * share} for phase, share in shares.items()}
            planned = next(v for v in self.planned if v["name"] == name)
            settings = {**self._settings(kind, planned["axes"]), **size}
            values: dict[str, Any] = {"cold_ms": 1000 * seconds * 3, "batch_size": 8, "loops": 1}
            values |= {"processes": list(processes)} if processes else {}
            values |= session_values | dict(about or {}) if row.endswith("_control") else {}
            self.append(row, name, samples=samples, session=session, settings=settings, values=values)

    def throughput(self, variant: str, rates: Sequence[float], session: str | None = None) -> None:
        samples = {"rate": {"unit": "img/s", "values": list(rates)}}
        self.append("throughput", variant, session=session, samples=samples, values={"batch_size": 8, "window_s": 2.0})

    def accuracy(
        self,
        variant: str,
        accuracies: Sequence[float],
        *,
        epochs: int = 30,
        curves: bool = True,
        settings: Mapping[str, Any] | None = None,
        right: Sequence[Sequence[int]] | None = None,
        first: int = 0,
    ) -> None:
        """One trial a seed; ``settings`` beside the usual ones, ``right``: which test images were named correctly.

        ``first``: the number of the first seed.
        """
        axes = next(v for v in self.planned if v["name"] == variant)["axes"]
        more: dict[str, Any] = {}
        if settings is not None:
            more["settings"] = {**self._settings("accuracy", axes), **settings}
        for seed, final in enumerate(accuracies, first):
            name = f"{variant.encode().hex()[:24]}-{seed}"
            if curves:
                epoch = np.arange(1, epochs + 1)
                climb = final * (1 - np.exp(-epoch / 6)) / (1 - np.exp(-epochs / 6))
                arrays = {"epoch": epoch, "seconds": epoch * 0.5, "train_loss": 2.3 * np.exp(-epoch / 9),
                          "val_loss": 2.3 * np.exp(-epoch / 9),
                          "val_accuracy": (climb + self.rng.normal(0, 0.008, epochs)).clip(0, 1)}  # fmt: skip
                np.savez(self.folder / "artifacts" / f"{name}.npz", **arrays)
            correct = round(final * 360)
            values = {"accuracy": final, "val_accuracy": final, "train_loss": 0.1, "num_test": 360, "correct": correct,
                      "train_seconds": 15.0, "epochs": epochs, "steps": epochs * 17}  # fmt: skip
            if right is not None:
                more["samples"] = {"correct": {"unit": "0/1 per test image", "values": list(right[seed - first])}}
            artifacts = [f"{name}.npz"] if curves else []
            self.append("accuracy", variant, seed=seed, values=values, artifacts=artifacts, **more)

    def looks(self, variant: str, seed: int, **arrays: Any) -> None:
        """Adds arrays to the artifact of an accuracy trial that has one."""
        path = self.folder / "artifacts" / f"{variant.encode().hex()[:24]}-{seed}.npz"
        with np.load(path) as known:
            arrays = {**known, **arrays}
        np.savez(path, **arrays)

    def fail(self, kind: str, variant: str, status: str, reason: str, **rest: Any) -> None:
        self.append(kind, variant, status=status, reason=reason, **rest)


def claim(text: str, metric: str, source: str, **form: Any) -> dict[str, Any]:
    """A claim as a plan records it."""
    empty = dict.fromkeys(("better", "than", "equal", "margin", "along", "exponent"))
    return {"text": text, "metric": metric, "source": source, **empty, **form}


def draws(rng: np.random.Generator, mean: float, sd: float, n: int = 6) -> list[float]:
    """Accuracies in whole test images of 360."""
    return [round(float(a) * 360) / 360 for a in np.clip(rng.normal(mean, sd, n), 0, 1)]


def pos_embed(folder: Path, *, seeds: int = 6, control: float = 1.0) -> Made:
    """Five variants: none clearly worse, rope and relative slower, the rest alike."""
    words = ("learned", "none", "sincos2d", "relative", "rope")
    table_8 = "Dosovitskiy et al. 2021, table 8"
    learned, none, sincos2d, relative, rope = (f"pos_embed={w}" for w in words)
    claims = [
        claim("learned position embeddings beat none", "accuracy", table_8, better=learned, than=none),
        claim(
            "learned and relative positions are equally good",
            "accuracy",
            table_8,
            equal=[learned, relative],
            margin=0.01,
        ),
        claim("rope costs nothing", "latency_ms", "nobody", equal=[learned, rope], margin=0.01),
        claim("sincos2d beats rope", "accuracy", "nobody", better=sincos2d, than=rope),
    ]
    variants = [{"name": f"pos_embed={w}", "axes": {"pos_embed": w}} for w in words]
    made = Made(folder, variants, axes={"pos_embed": list(words)}, claims=claims, seeds=seeds)
    rng = np.random.default_rng(3)
    names = [v["name"] for v in variants]
    parameters = (202_000, 201_000, 201_000, 202_800, 201_000)
    for name, params in zip(names, parameters, strict=True):
        made.cost(name, params=params, macs=3_450_000 + (4_000 if "rope" in name else 0))
        made.memory(name, inference=int(2.1 * MIB), training=int(9.7 * MIB))
        made.throughput(name, [3100.0, 3080.0, 3120.0])
    latencies = (2.41e-3, 2.40e-3, 2.41e-3, 2.63e-3, 2.98e-3)
    made.timing(dict(zip(names, latencies, strict=True)), control=control)
    made.timing({n: 4 * t for n, t in zip(names, latencies, strict=True)}, kind="train_step", session="t1")
    for name, mean in zip(names, (0.975, 0.66, 0.968, 0.974, 0.977), strict=True):
        made.accuracy(name, draws(rng, mean, 0.006, seeds))
    return made


def vit_vs_resnet(folder: Path) -> Made:
    """Twelve variants of two families; one cell impossible, one out of memory, one seed diverged."""
    names = [
        "baseline", "patch_size=1", "patch_size=4", "patch_size=8", "patch_size=3", "depth=2", "depth=8",
        "embed_dim=128,num_heads=8,mlp_ratio=2", "embed_dim=256", "resnet18_w16", "resnet18_w32", "resnet34_w16",
    ]  # fmt: skip
    macs = [3.45e6, 16e6, 0.9e6, 0.25e6, 0, 1.8e6, 6.8e6, 10e6, 48e6, 35e6, 139e6, 74e6]
    acc = [0.975, 0.97, 0.985, 0.88, 0, 0.94, 0.98, 0.982, 0.986, 0.992, 0.995, 0.993]
    variants: list[dict[str, Any]] = []
    for name in names:
        resnet = name.startswith("resnet")
        axes = {"patch_size": 2, "depth": 4, "embed_dim": 64}
        for part in name.split(","):
            key, _, value = part.partition("=")
            if key in axes:
                axes[key] = int(value)
        variants.append(
            {
                "name": name,
                "family": "ResNet" if resnet else "ViT",
                "axes": {} if resnet else axes,
                "is_reference": resnet,
            }
        )
    variants[4]["reason"] = "patch_size=3 does not divide img_size=8: a side of 8 takes 1, 2, 4, 8"
    claims = [
        claim("MACs grow about linearly with depth", "macs", "arithmetic", along="depth", exponent=[0.9, 1.1]),
        claim("a small ResNet beats the ViT", "accuracy", "FACTS, section 6", better="resnet18_w16", than="baseline"),
    ]
    made = Made(
        folder, variants, ablation="vit_vs_resnet", question="At my budget: a ViT or a ResNet?", claims=claims,
        axes={"patch_size": [1, 2, 4, 8, 3], "depth": [2, 4, 8], "embed_dim": [64, 128, 256]},
    )  # fmt: skip
    rng = np.random.default_rng(5)
    timed = {}
    for name, mac, mean in zip(names, macs, acc, strict=True):
        if not mac:
            continue
        made.cost(name, params=int(mac / 17), macs=int(mac))
        made.memory(name, inference=int(mac / 2), training=int(3 * mac))
        if name == "embed_dim=256":
            for seed in range(6):
                made.fail("accuracy", name, "oom", "killed for memory at epoch 3", seed=seed)
            made.fail("latency", name, "oom", "the forward pass took more than 2 GiB")
            continue
        timed[name] = 1e-3 * (0.5 + mac / 2e6) ** 0.8
        scores = draws(rng, mean, 0.005)
        made.accuracy(name, scores[:5] if name == "depth=8" else scores)
        if name == "depth=8":
            made.fail("accuracy", name, "diverged", "the loss was not finite at step 40", seed=5)
    made.timing(timed)
    return made

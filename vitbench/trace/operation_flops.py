"""FLOPs of a step, by operation with torch's counter and in all with ``vitbench.measure.count``.

torch's counter sees the kernels that run on the device; ours works on the meta device, where attention falls apart into
its products. A multiply-add is two FLOPs, and only products count.
"""

# torch leaves its formulas untyped:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from vitbench.declare.model import ModelConfig
from vitbench.measure.counts.flops import OURS, count
from vitbench.utils.errors import UserError


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> int:
    """The four products of the gradient, without the scores that kernels compute a second time to save memory."""
    return 2 * int(sdpa_flop_count(query, key, value))


FORMULAS = {
    **OURS,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,  # noqa: SLF001
    **{
        getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}_backward"): _attention_backward
        for kernel in ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")
    },
}
"""Operation → formula, for those that torch's counter lacks or counts otherwise."""


def flops_by_operation(step: Callable[[], Any]) -> dict[str, int] | None:
    """Operation → FLOPs in one step, which is run; None if torch's counter fails on it.

    torch's fused encoder layers run unfused meanwhile, because the counter does not see into them.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
            step()
    except Exception:  # noqa: BLE001  # a model that runs is traced, even if the counter fails on it
        return None
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return {str(op).replace(".", "::"): flops for op, flops in counter.get_flop_counts().get("Global", {}).items()}


def counted_flops(config: ModelConfig, batch_size: int, *, training: bool) -> int | None:
    """FLOPs of a step by ``vitbench.measure.count``; None if it cannot count this model."""
    try:
        counts = count(config)
    except UserError:
        return None
    backward = counts.flops_backward if training else 0
    return None if backward is None else batch_size * (counts.flops + backward)

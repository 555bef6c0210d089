"""What the tests against other people's models share: random weights, and when outputs count as equal."""

import types

import torch

from vitbench.declare.sizes import as_pair

PEERS = ("timm", "torchvision", "transformers", "vit_pytorch")
RTOL = 1e-5
"""Of the largest output."""

_defined = []  # a library that is collected takes its operations along


def import_torchvision() -> types.ModuleType:
    """torchvision, though no build of it fits a torch for the CPU: its detection operations are never called."""
    if not _defined:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _defined.append(library)
    import torchvision

    return torchvision


def randomise(model, seed=0):
    """Draws every parameter and every statistic anew, far from where they start, so that none is a mere 0 or 1."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor):
        return torch.randn(tensor.shape, generator=generator).to(tensor)

    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator).to(tensor))
            elif tensor.ndim == 1:
                tensor.copy_((0.0 if name.endswith(("bias", "running_mean")) else 1.0) + 0.3 * normal(tensor))
            elif any(word in name for word in ("token", "pos", "latent")):
                tensor.copy_(0.5 * normal(tensor))
            else:
                tensor.copy_(normal(tensor) / tensor[0].numel() ** 0.5)
    return model


def images(config, batch=2, dtype=torch.float32):
    """(batch, in_chans, height, width), for one config always the same."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, config.in_chans, *as_pair(config.img_size), generator=generator).to(dtype)


def assert_equal(ours, theirs, rtol=RTOL):
    """No output is further away than ``rtol`` of the largest; and they are outputs, not constants."""
    assert ours.shape == theirs.shape
    assert torch.isfinite(theirs).all()
    assert theirs.std() > 1e-3
    distance = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    assert distance <= rtol, f"{distance:.1e} of the largest output apart"


def assert_same_gradients(ours, theirs, x, rename=lambda name: name, rtol=1e-9):
    """The gradients of one scalar that weighs every output, in float64, parameter by parameter and of the images.

    ``rename`` maps our names to theirs. Distances count relative to the parameter's largest gradient; where that is
    zero but for rounding (the bias of keys, which softmax ignores), to a millionth of the largest of all.
    """
    gradients = []
    for model in (ours, theirs):
        model.double().eval().zero_grad()
        inputs = x.double().requires_grad_()
        out = model(inputs)
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(out)
        (out * weights).sum().backward()
        gradients.append({"images": inputs.grad} | {name: p.grad for name, p in model.named_parameters()})
    mine, peer = gradients
    assert len(mine) == len(peer)
    largest = max(gradient.abs().max().item() for gradient in peer.values())
    for name, gradient in mine.items():
        reference = peer[name if name == "images" else rename(name)]
        scale = max(reference.abs().max().item(), 1e-6 * largest)
        distance = (gradient - reference).abs().max().item() / scale
        assert distance <= rtol, f"{name}: {distance:.1e} apart"

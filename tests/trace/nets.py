"""Models whose time, products and memory are known, named on the command line as ``nets:FUNCTION``."""

import time

import torch
from torch import nn


class Attention(nn.Module):
    """A linear map, and a product of two square matrices of a given size."""

    def __init__(self, size=0):
        super().__init__()
        self.qkv, self.heavy = nn.Linear(8, 8), nn.Parameter(torch.randn(size, size)) if size else None

    def forward(self, x):
        if self.heavy is not None:
            x = x + (self.heavy @ self.heavy)[0, 0] * 0
        return self.qkv(x)


class Sleep(torch.autograd.Function):
    """Sleeps in the forward and in the backward pass."""

    @staticmethod
    def forward(ctx, x, forward_s, backward_s):
        time.sleep(forward_s)
        ctx.s = backward_s
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(ctx.s)
        return gradient, None, None


class Mlp(nn.Module):
    def __init__(self, forward_s=0.0, backward_s=0.0):
        super().__init__()
        self.fc, self.sleeps = nn.Linear(8, 8), (forward_s, backward_s)

    def forward(self, x):
        return Sleep.apply(self.fc(x), *self.sleeps) if any(self.sleeps) and x.device.type == "cpu" else self.fc(x)


class Block(nn.Module):
    def __init__(self, attn, mlp):
        super().__init__()
        self.attn, self.mlp = attn, mlp

    def forward(self, x):
        return x + self.mlp(self.attn(x))


class Net(nn.Module):
    """Two blocks of attention and MLP, and a head of three classes."""

    def __init__(self, size=0, forward_s=0.0, backward_s=0.0, wide=0):
        super().__init__()
        self.blocks = nn.ModuleList(Block(Attention(size), Mlp(forward_s, backward_s)) for _ in range(2))
        self.head, self.wide = nn.Linear(8, 3), wide

    def forward(self, x):
        x = x.flatten(2).mean(1).unflatten(1, (-1, 8))
        for block in self.blocks:
            x = block(x)
        x = x + torch.zeros(self.wide, device=x.device).sum()
        return self.head(x.mean(1))


build = Net


def raising():
    class Raising(Net):
        def forward(self, x):
            if len(x) == 8:
                raise ValueError("it is Monday")
            return super().forward(x)

    return Raising()


def unknown_number():
    class Unknown(Net):
        def forward(self, x):
            return super().forward(x) * float("nan")

    return Unknown()


def needs_data():
    class NeedsData(Net):
        def forward(self, x):
            return super().forward(x) * (1 if x.sum().item() > 0 else 2)

    return NeedsData()


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    stack = nn.Module()
    stack.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    stack.forward = lambda x: stack.layers(x.flatten(2).mean(1).unflatten(1, (-1, 8)))
    return stack

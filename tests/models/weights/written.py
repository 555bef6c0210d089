"""Small checkpoints as each library writes them, from a reference model that is not ours (torch's own encoder)."""

import numpy as np
import torch
from scipy.special import erf
from torch import nn

DIM, HEADS, DEPTH, HIDDEN, PATCH, GRID, CLASSES = 128, 2, 2, 192, 4, 3, 5
SIDE = PATCH * GRID
CONFIG = {
    "img_size": SIDE,
    "patch_size": PATCH,
    "num_classes": CLASSES,
    "embed_dim": DIM,
    "depth": DEPTH,
    "num_heads": HEADS,
    "mlp_ratio": HIDDEN / DIM,
}


class Reference(nn.Module):
    """A ViT out of ``nn.TransformerEncoderLayer``, everything random."""

    def __init__(self, eps=1e-6, prefix=1, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.patches = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.tokens = nn.Parameter(torch.empty(1, prefix, DIM))
        self.positions = nn.Parameter(torch.empty(1, prefix + GRID**2, DIM))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                DIM, HEADS, HIDDEN, 0.0, "gelu", layer_norm_eps=eps, batch_first=True, norm_first=True
            )
            for _ in range(DEPTH)
        )
        self.norm = nn.LayerNorm(DIM, eps=eps)
        self.heads = nn.ModuleList(nn.Linear(DIM, CLASSES) for _ in range(prefix))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.2)
        self.eval()

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat((self.tokens.expand(len(x), -1, -1), x), 1) + self.positions
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return sum(head(x[:, i]) for i, head in enumerate(self.heads)) / len(self.heads)


def both(target, module):
    return {f"{target}.weight": module.weight.detach(), f"{target}.bias": module.bias.detach()}


def fused(target, attention, join="."):
    return {
        f"{target}{join}weight": attention.in_proj_weight.detach(),
        f"{target}{join}bias": attention.in_proj_bias.detach(),
    }


def timm(ref):
    state = {"cls_token": ref.tokens.detach()[:, :1], "pos_embed": ref.positions.detach()}
    if ref.tokens.shape[1] == 2:
        state["dist_token"] = ref.tokens.detach()[:, 1:]
        state |= both("head_dist", ref.heads[1])
    state |= both("patch_embed.proj", ref.patches) | both("norm", ref.norm) | both("head", ref.heads[0])
    for i, layer in enumerate(ref.layers):
        at = f"blocks.{i}"
        state |= both(f"{at}.norm1", layer.norm1) | both(f"{at}.norm2", layer.norm2)
        state |= fused(f"{at}.attn.qkv", layer.self_attn) | both(f"{at}.attn.proj", layer.self_attn.out_proj)
        state |= both(f"{at}.mlp.fc1", layer.linear1) | both(f"{at}.mlp.fc2", layer.linear2)
    return state


def torchvision(ref, mlp=("mlp.0", "mlp.3")):
    state = {"class_token": ref.tokens.detach(), "encoder.pos_embedding": ref.positions.detach()}
    state |= both("conv_proj", ref.patches) | both("encoder.ln", ref.norm) | both("heads.head", ref.heads[0])
    for i, layer in enumerate(ref.layers):
        at = f"encoder.layers.encoder_layer_{i}"
        state |= both(f"{at}.ln_1", layer.norm1) | both(f"{at}.ln_2", layer.norm2)
        state |= fused(f"{at}.self_attention.in_proj", layer.self_attn, join="_")
        state |= both(f"{at}.self_attention.out_proj", layer.self_attn.out_proj)
        state |= both(f"{at}.{mlp[0]}", layer.linear1) | both(f"{at}.{mlp[1]}", layer.linear2)
    return state


HF = {
    4: (
        "encoder.layer",
        ("attention.attention.query", "attention.attention.key", "attention.attention.value"),
        ("attention.output.dense", "intermediate.dense", "output.dense"),
    ),
    5: (
        "layers",
        ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
        ("attention.o_proj", "mlp.fc1", "mlp.fc2"),
    ),
}


def hugging_face(ref, generation=4):
    layers, qkv, (out, fc1, fc2) = HF[generation]
    distilled = ref.tokens.shape[1] == 2
    root = "deit" if distilled else "vit"
    state = {
        f"{root}.embeddings.cls_token": ref.tokens.detach()[:, :1],
        f"{root}.embeddings.position_embeddings": ref.positions.detach(),
    }
    state |= both(f"{root}.embeddings.patch_embeddings.projection", ref.patches) | both(f"{root}.layernorm", ref.norm)
    if distilled:
        state[f"{root}.embeddings.distillation_token"] = ref.tokens.detach()[:, 1:]
        state |= both("cls_classifier", ref.heads[0]) | both("distillation_classifier", ref.heads[1])
    else:
        state |= both("classifier", ref.heads[0])
    for i, layer in enumerate(ref.layers):
        at = f"{root}.{layers}.{i}"
        state |= both(f"{at}.layernorm_before", layer.norm1) | both(f"{at}.layernorm_after", layer.norm2)
        for part, name in enumerate(qkv):
            rows = slice(part * DIM, (part + 1) * DIM)
            state[f"{at}.{name}.weight"] = layer.self_attn.in_proj_weight.detach()[rows].clone()
            state[f"{at}.{name}.bias"] = layer.self_attn.in_proj_bias.detach()[rows].clone()
        state |= both(f"{at}.{out}", layer.self_attn.out_proj)
        state |= both(f"{at}.{fc1}", layer.linear1) | both(f"{at}.{fc2}", layer.linear2)
    return state


def jax_arrays(seed=0, *, big_vision=False, stacked=False, representation=0):
    """Arrays in flax's own layouts: (inputs, heads, head), (heads, head, outputs), (inputs, outputs), HWIO."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.standard_normal(shape) * 0.2).astype(np.float32)

    attention, mlp, second = ("_0", "_0", "_1") if big_vision else ("_1", "_3", "_2")
    arrays = {"embedding/kernel": draw(PATCH, PATCH, 3, DIM), "embedding/bias": draw(DIM), "cls": draw(1, 1, DIM)}
    if big_vision:
        arrays["pos_embedding"] = draw(1, GRID**2, DIM)
    else:
        arrays["Transformer/posembed_input/pos_embedding"] = draw(1, 1 + GRID**2, DIM)
    for i in range(DEPTH):
        at = f"Transformer/encoderblock_{i}"
        for norm in ("_0", second):
            arrays |= {f"{at}/LayerNorm{norm}/scale": draw(DIM), f"{at}/LayerNorm{norm}/bias": draw(DIM)}
        heads = f"{at}/MultiHeadDotProductAttention{attention}"
        for name in ("query", "key", "value"):
            arrays |= {
                f"{heads}/{name}/kernel": draw(DIM, HEADS, DIM // HEADS),
                f"{heads}/{name}/bias": draw(HEADS, DIM // HEADS),
            }
        arrays |= {f"{heads}/out/kernel": draw(HEADS, DIM // HEADS, DIM), f"{heads}/out/bias": draw(DIM)}
        dense = f"{at}/MlpBlock{mlp}"
        arrays |= {f"{dense}/Dense_0/kernel": draw(DIM, HIDDEN), f"{dense}/Dense_0/bias": draw(HIDDEN)}
        arrays |= {f"{dense}/Dense_1/kernel": draw(HIDDEN, DIM), f"{dense}/Dense_1/bias": draw(DIM)}
    arrays |= {"Transformer/encoder_norm/scale": draw(DIM), "Transformer/encoder_norm/bias": draw(DIM)}
    features = representation or DIM
    if representation:
        arrays |= {"pre_logits/kernel": draw(DIM, representation), "pre_logits/bias": draw(representation)}
    arrays |= {"head/kernel": draw(features, CLASSES), "head/bias": draw(CLASSES)}
    if not stacked:
        return arrays
    first = [name for name in arrays if "encoderblock_0/" in name]
    rest = {name: array for name, array in arrays.items() if "encoderblock_" not in name}
    for name in first:
        layers = [arrays[name.replace("_0/", f"_{i}/", 1)] for i in range(DEPTH)]
        rest[name.replace("encoderblock_0", "encoderblock")] = np.stack(layers)
    return rest


def exact_gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def jax_forward(arrays, images, gelu=exact_gelu, eps=1e-6):
    """The forward pass as models_vit.py writes it, in numpy and float64; images (batch, height, width, 3)."""
    p = {name: array.astype(np.float64) for name, array in arrays.items()}
    big_vision = "pos_embedding" in p
    attention, mlp, second = ("_0", "_0", "_1") if big_vision else ("_1", "_3", "_2")

    def norm(x, at):
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(var + eps) * p[f"{at}/scale"] + p[f"{at}/bias"]

    def dense(x, at):
        return x @ p[f"{at}/kernel"] + p[f"{at}/bias"]

    batch, height, width, _ = images.shape
    cut = images.reshape(batch, height // PATCH, PATCH, width // PATCH, PATCH, 3)
    x = np.einsum("nhpwqc,pqcd->nhwd", cut, p["embedding/kernel"]).reshape(batch, -1, DIM) + p["embedding/bias"]
    if big_vision:
        x = x + p["pos_embedding"]
    x = np.concatenate((np.broadcast_to(p["cls"], (batch, 1, DIM)), x), 1)
    if not big_vision:
        x = x + p["Transformer/posembed_input/pos_embedding"]
    for i in range(DEPTH):
        at = f"Transformer/encoderblock_{i}"
        y = norm(x, f"{at}/LayerNorm_0")
        heads = f"{at}/MultiHeadDotProductAttention{attention}"
        q, k, v = (
            np.einsum("ntd,dhe->nhte", y, p[f"{heads}/{name}/kernel"]) + p[f"{heads}/{name}/bias"][:, None]
            for name in ("query", "key", "value")
        )
        scores = np.einsum("nhte,nhse->nhts", q, k) / np.sqrt(DIM // HEADS)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        out = np.einsum("nhts,nhse->nthe", weights, v)
        x = x + np.einsum("nthe,hed->ntd", out, p[f"{heads}/out/kernel"]) + p[f"{heads}/out/bias"]
        y = norm(x, f"{at}/LayerNorm{second}")
        x = x + dense(gelu(dense(y, f"{at}/MlpBlock{mlp}/Dense_0")), f"{at}/MlpBlock{mlp}/Dense_1")
    x = norm(x, "Transformer/encoder_norm")[:, 0]
    if "pre_logits/kernel" in p:
        x = np.tanh(dense(x, "pre_logits"))
    return dense(x, "head")


def images(side=SIDE, seed=1):
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))


def close(actual, expected, rel=1e-5):
    expected = torch.as_tensor(expected)
    error = (actual.detach().double() - expected.detach().double()).abs().max() / expected.detach().abs().max()
    assert error < rel, f"relative error {error:.2e}"

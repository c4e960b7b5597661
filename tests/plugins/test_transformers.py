"""FD-DINOv2 and CMMD against the formulas of their programs, written out: the resize, the network, the distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import timm
import torch
from helpers.sets import folder, pixels
from PIL import Image
from torch import Tensor
from torch.nn.functional import gelu, interpolate, layer_norm
from zoo_metrics.transformers import positions
from zoo_metrics.weights import aside

import zoo

DINO, CLIP = "vit_small_patch14_dinov2", "vit_base_patch32_clip_quickgelu_224"
"""The architectures of the published networks, in their smallest sizes."""
CLOSE = 1e-4
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("sets")
    wide = np.concatenate([pixels(3, 1, 240), pixels(3, 2, 240)], 2)[:, :, :300]
    return folder(root / "a", pixels(3, 0, 240)), folder(root / "b", wide, ".jpg")


def random(model: str, path: Path, **more: object) -> tuple[str, State]:
    """Random weights in a file, none of which is a constant: the norms' and the layers' scales, too."""
    with aside():
        state = timm.create_model(model, **more).state_dict()
        state = {name: tensor + 0.02 * torch.randn(tensor.shape) for name, tensor in state.items()}
    state = {name: tensor + 0.5 if name.endswith(".gamma") else tensor for name, tensor in state.items()}
    torch.save(state, path)
    return str(path), {name: tensor.double() for name, tensor in state.items()}


def attention(x: Tensor, w: State, name: str, heads: int) -> Tensor:
    n, places, width = x.shape
    qkv = (x @ w[f"{name}.qkv.weight"].T + w[f"{name}.qkv.bias"]).view(n, places, 3, heads, -1).permute(2, 0, 3, 1, 4)
    scores = (qkv[0] @ qkv[1].mT * (width // heads) ** -0.5).softmax(-1)
    return (scores @ qkv[2]).transpose(1, 2).flatten(2) @ w[f"{name}.proj.weight"].T + w[f"{name}.proj.bias"]


def norm(x: Tensor, w: State, name: str, eps: float) -> Tensor:
    return layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def token(images: Tensor, w: State, *, patch: int, heads: int, quick: bool, grid: Tensor, eps: float) -> Tensor:
    """The class token after the last norm (Dosovitskiy et al. 2021); DINOv2 scales layers, CLIP has a norm before."""
    kernel, n = w["patch_embed.proj.weight"], len(images)
    parts = images.unfold(2, patch, patch).unfold(3, patch, patch).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    x = parts @ kernel.flatten(1).T + w.get("patch_embed.proj.bias", 0)
    x = torch.cat([w["cls_token"].expand(n, 1, -1), x], 1) + grid
    x = norm(x, w, "norm_pre", eps) if "norm_pre.weight" in w else x
    for block in range(12):
        name = f"blocks.{block}"
        seen = attention(norm(x, w, f"{name}.norm1", eps), w, f"{name}.attn", heads)
        x = x + seen * w.get(f"{name}.ls1.gamma", 1)
        hidden = norm(x, w, f"{name}.norm2", eps) @ w[f"{name}.mlp.fc1.weight"].T + w[f"{name}.mlp.fc1.bias"]
        hidden = hidden * torch.sigmoid(1.702 * hidden) if quick else gelu(hidden)
        x = x + (hidden @ w[f"{name}.mlp.fc2.weight"].T + w[f"{name}.mlp.fc2.bias"]) * w.get(f"{name}.ls2.gamma", 1)
    return norm(x, w, "norm", eps)[:, 0]


def read(path: Path, side: int, *, square: bool) -> Tensor:
    """Pillow's bicubic in uint8, of the central square or of all; (N, 3, S, S) in [0, 1]."""
    found = []
    for file in sorted(path.iterdir()):
        image = Image.open(file).convert("RGB")
        if square:
            short = min(image.size)
            left, top = ((length - short) // 2 for length in image.size)
            image = image.crop((left, top, left + short, top + short))
        found.append(np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)))
    return torch.from_numpy(np.stack(found)).movedim(-1, 1).double() / 255


def scaled(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def test_fd_dinov2_is_dgm_evals(sets: tuple[Path, Path], tmp_path: Path) -> None:
    """Positions are resampled as Facebook's code does it: bicubic, by the scale (16 + 0.1) / 37."""
    path, w = random(DINO, tmp_path / "dino.pth", num_classes=0)
    own, patches = w["pos_embed"][:, :1].float(), w["pos_embed"][:, 1:].float()
    grid = patches.reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    grid = (
        interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic").permute(0, 2, 3, 1).reshape(1, 256, -1)
    )
    grid = torch.cat([own, grid], 1)
    torch.testing.assert_close(positions(w["pos_embed"].float(), 16), grid)
    found = []
    for place in sets:
        images = scaled(read(place, 224, square=False), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        found.append(token(images, w, patch=14, heads=6, quick=False, grid=grid.double(), eps=1e-6).numpy())
    (m1, c1), (m2, c2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in found)
    expected = np.square(m1 - m2).sum() + np.trace(c1 + c2) - 2 * np.trace(scipy.linalg.sqrtm(c1 @ c2)).real
    settings = {"model": DINO, "pretrained": path}
    ours = zoo.score(*sets, protocol="fd-dinov2", settings=settings)["fd-dinov2"]
    assert ours["value"] == pytest.approx(expected, rel=CLOSE)
    assert ours["passport"]["how"]["resize"] == "224 px, bicubic, antialiased, Pillow"
    other = zoo.score(*sets, metrics=["fd-dinov2"], settings={**settings, "change": {"filter": "bilinear"}})[
        "fd-dinov2"
    ]
    assert abs(other["value"] / expected - 1) > CLOSE


def test_cmmd_is_its_authors(sets: tuple[Path, Path], tmp_path: Path) -> None:
    path, w = random(CLIP, tmp_path / "clip.pth", num_classes=768)
    found = []
    for place in sets:
        images = read(place, 224, square=True)
        mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        images = scaled(images, mean, std)
        x = token(images, w, patch=32, heads=12, quick=True, grid=w["pos_embed"], eps=1e-5)
        x = x @ w["head.weight"].T + w["head.bias"]
        found.append(x / x.norm(dim=1, keepdim=True))
    a, b = found
    kernels = [torch.exp(-(x[:, None] - y[None]).square().sum(-1) / 200).mean() for x, y in ((a, a), (b, b), (a, b))]
    expected = 1000 * float(kernels[0] + kernels[1] - 2 * kernels[2])
    settings = {"model": CLIP, "pretrained": path, "change": {"size": 224}}
    ours = zoo.score(*sets, protocol="cmmd", settings=settings)["cmmd"]
    assert ours["value"] == pytest.approx(expected, rel=CLOSE)
    assert ours["passport"]["how"]["crop"] == "square"


def test_weights_of_another_network_are_refused(sets: tuple[Path, Path], tmp_path: Path) -> None:
    path, _ = random("vit_tiny_patch16_224", tmp_path / "tiny.pth")
    with pytest.raises(zoo.errors.RequestError, match=r"these are not weights of DINOv2 \(vit_small_patch14_dinov2\)"):
        zoo.score(*sets, metrics=["fd-dinov2"], settings={"model": DINO, "pretrained": path})

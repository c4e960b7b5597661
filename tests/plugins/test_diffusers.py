"""The plugin diffusers against the library itself: every family in and out of its folders, to the last bit."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from conftest import Run
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import zoo
from zoo.errors import ZooError
from zoo.recipe import weights
from zoo.registry import load_registry
from zoo.runs.export import export_model

LEVELS = {"block_out_channels": [4, 8], "norm_num_groups": 2}
TINY: dict[str, dict[str, Any]] = {
    "AutoencoderKL": {**LEVELS, "latent_channels": 3},
    "AsymmetricAutoencoderKL": {
        "down_block_out_channels": [4, 8],
        "up_block_out_channels": [8, 8],
        "norm_num_groups": 2,
    },
    "AutoencoderKLFlux2": {**LEVELS, "latent_channels": 4},
    "VQModel": {**LEVELS, "num_vq_embeddings": 8},
    "AutoencoderTiny": {
        "encoder_block_out_channels": [4, 4],
        "decoder_block_out_channels": [4, 4],
        "num_encoder_blocks": [1, 1],
        "num_decoder_blocks": [1, 1],
    },
    "AutoencoderDC": {
        "encoder_block_out_channels": [4, 8],
        "decoder_block_out_channels": [4, 8],
        "encoder_layers_per_block": [1, 1],
        "decoder_layers_per_block": [1, 1],
        "encoder_qkv_multiscales": [[], []],
        "decoder_qkv_multiscales": [[], []],
        "latent_channels": 4,
    },
}
RECIPE = """\
data: {use: digits, size: 8, channels: 3}
slots:
  encoder: {use: diffusers, weights: theirs}
  decoder: {use: diffusers, weights: theirs}
  prior: normal
values: {z_posterior: posterior_mean}
phases: [{decoder: {reconstruction: 1.0}}]
outputs: {sample: decoded_prior, reconstruction: reconstruction, posterior: posterior}
train: {steps: 2, batch: 4, log_every: 1, precision: float32, channels_last: false}
evaluate: [mse]
"""


def theirs(family: str, folder: Path) -> nn.Module:
    """A model of the library's, saved as a user has it."""
    torch.manual_seed(0)
    config = dict(TINY[family])
    for name, levels in (("down", "block_out_channels"), ("up", "block_out_channels")):
        key = levels if levels in config else f"{name}_{levels}"
        if key in config:
            config[f"{name}_block_types"] = [f"{name.title()}{'En' if name == 'down' else 'De'}coderBlock2D"] * 2
    model = getattr(diffusers, family)(**config).eval()
    model.save_pretrained(folder)
    return model


@torch.no_grad()
def both(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The codes of images by the library, and what it makes of them."""
    found = model.encode(x)
    z = found.latent_dist.mean if hasattr(found, "latent_dist") else next(iter(found.values()))
    return z, model.decode(z).sample


@pytest.mark.parametrize("family", TINY)
def test_every_family_comes_in_and_goes_out_to_the_last_bit(family: str, here: Path) -> None:
    model = theirs(family, here / "theirs")
    (here / "r.yaml").write_text(RECIPE)
    ours = zoo.build("r.yaml")
    x = torch.rand(2, 3, 8, 8) * 2 - 1
    z, images = both(model, x)
    assert ours.recipe.latent == tuple(z.shape[1:])
    assert torch.equal(ours.encode(x).mean, z)
    assert torch.equal(ours.reconstruct(x), images)
    names = export_model(ours, load_registry().find("exporter", "diffusers"), here / "out", {})
    assert names == ["config.json", "diffusion_pytorch_model.safetensors"]
    again = getattr(diffusers, family).from_pretrained(here / "out").eval()
    assert all(torch.equal(t, again.state_dict()[name]) for name, t in model.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(both(again, x), (z, images), strict=True))
    configs = [json.dumps({key: v for key, v in each.config.items() if key[0] != "_"}) for each in (again, model)]
    assert configs[0] == configs[1]
    if hasattr(model.encode(x), "latent_dist"):
        torch.testing.assert_close(ours.encode(x).sigma, model.encode(x).latent_dist.std.detach(), rtol=1e-6, atol=0)


@pytest.fixture
def kl(here: Path) -> nn.Module:
    """A KL autoencoder of the library's in ``theirs``, and a recipe that begins with it."""
    model = theirs("AutoencoderKL", here / "theirs")
    (here / "r.yaml").write_text(RECIPE)
    return model


def said(**overrides: Any) -> str:
    with pytest.raises(ZooError) as caught:
        zoo.build("r.yaml", overrides={key.replace("__", "."): value for key, value in overrides.items()})
    return str(caught.value)


@pytest.mark.usefixtures("kl")
def test_what_is_wrong_is_a_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "'H/2' does not come out even: H is 9; make H a multiple of 2" in said(data__size=9)
    assert "no 'latent_chanels'; did you mean 'latent_channels'?" in said(slots__encoder__config={"latent_chanels": 3})
    assert "did you mean 'AutoencoderKL'?" in said(slots__encoder__family="AutoencoderLK")
    other = said(slots__encoder__family="AutoencoderTiny", slots__encoder__config=TINY["AutoencoderTiny"])
    assert "lacks" in other
    assert "It was saved with family: AutoencoderKL; what the recipe leaves out of the slot's options is as it" in other
    wider = said(slots__decoder__config={**TINY["AutoencoderKL"], "block_out_channels": [4, 16]})
    assert "weights of slot 'decoder': theirs/diffusion_pytorch_model.safetensors does not fit: it has other" in wider
    assert "is [8] there and [16] here" in wider
    (here / "empty").mkdir()
    assert "weights of slot 'encoder': empty cannot be read: it has no file config.json" in said(
        slots__encoder__weights="empty"
    )
    (here / "empty" / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    assert "it holds a UNet2DModel; autoencoders of images are AutoencoderKL" in said(slots__encoder__weights="empty")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    assert "pip install 'generative-zoo[diffusers]'" in said()


def test_names_of_old_folders_are_those_of_today(kl: nn.Module, here: Path) -> None:
    """Attention of models that were saved by diffusers before 0.15."""
    file = here / "theirs" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in load_file(file).items():
        for new, was in old.items():
            name = name.replace(f".{new}.", f".{was}.")
        renamed[name] = tensor
    assert any(".query." in name for name in renamed)
    save_file(renamed, file)
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(zoo.build("r.yaml").reconstruct(x), both(kl, x)[1])


@pytest.mark.usefixtures("here")
def test_a_folder_of_the_hub_is_read_file_by_file(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = theirs("AutoencoderTiny", Path("hub/vae")), []

    def fetched(where: str) -> Path:
        asked.append(where)
        return Path("hub/vae", where.rpartition("/")[2])

    monkeypatch.setattr(weights, "_fetched", fetched)
    Path("r.yaml").write_text(RECIPE.replace("weights: theirs", "weights: hf://ORG/NAME@v1/vae"))
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(zoo.build("r.yaml").reconstruct(x), both(model, x)[1])
    names = ("config.json", "diffusion_pytorch_model.safetensors")
    assert set(asked) == {f"hf://ORG/NAME@v1/vae/{name}" for name in names}


@pytest.mark.usefixtures("kl")
def test_a_run_needs_the_folder_no_more_and_its_weights_bring_their_options(here: Path, run_zoo: Run) -> None:
    done = run_zoo("build", "r.yaml", "--no-tensorboard", "--stop-after", "train")
    assert done.code == 0, done.err
    (here / "theirs").rename(here / "gone")
    x = torch.rand(2, 3, 8, 8)
    images = zoo.load("runs/r").reconstruct(x)
    assert run_zoo("export", "runs/r", "--to", "diffusers", "out", "--set", "scaling_factor=0.5").code == 0
    out = diffusers.AutoencoderKL.from_pretrained("out").eval()
    assert torch.equal(both(out, x)[1], images)
    assert out.config.scaling_factor == 0.5
    told = {
        ("diffusers", "out"): "out: is there already; choose another directory",
        ("difusers", "new"): "did you mean 'diffusers'?",
        ("diffusers", "new", "--set", "encoder=prior"): "slot 'prior' is no encoder of diffusers",
        ("diffusers", "new", "--set", "scale=1"): "exporter 'diffusers' has no option 'scale'",
    }
    for arguments, sentence in told.items():
        failed = run_zoo("export", "runs/r", "--to", *arguments)
        assert (failed.code, sentence in failed.err, Path("new").exists()) == (2, True, False), failed.err
    assert not list(here.glob(".*.tmp"))
    again = RECIPE.replace("weights: theirs", "weights: runs/r")
    (here / "again.yaml").write_text(
        again.replace("  prior", "  generator: {use: diffusers, weights: runs/r#decoder}\n  prior")
    )
    model = zoo.build("again.yaml", overrides={"noise": 4, "outputs.sample": "generated"})
    assert torch.equal(model.reconstruct(x), images)
    z, none = model.encode(x).mean, torch.zeros(2, 4)
    with torch.no_grad():
        torch.testing.assert_close(model.generator(z, none), model.decoder(z))
        assert not torch.allclose(model.generator(z, none + 1), model.decoder(z), atol=1e-4)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of tensors and their names."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


SMALL = """\
data: {size: 8}
train: {steps: 3, batch: 4, log_every: 1, ema: 0.0, precision: float32, channels_last: false}
evaluate: []
"""
SHARP = """\
extends: sharp
noise: 4
slots:
  encoder: {weights: theirs}
  decoder: {weights: theirs}
  generator: {weights: theirs}
  critic: {width: 4, layers: 1}
"""
TUNED = """\
extends: finetune-decoder
slots:
  encoder: {weights: theirs}
  decoder: {weights: theirs}
  critic: {width: 4, layers: 1}
values: {distance: pixel_distance}
"""


@pytest.mark.parametrize(("recipe", "kept"), [(SHARP, ("encoder", "decoder")), (TUNED, ("encoder",))])
def test_what_is_in_no_row_is_the_folders_to_the_last_bit(recipe: str, kept: tuple[str, ...], kl: nn.Module) -> None:
    """SHA-256 before and after; and the codes that it gives."""
    Path("r.yaml").write_text(recipe + SMALL)
    model = zoo.build("r.yaml")
    x = torch.rand(4, 3, 8, 8) * 2 - 1
    before = {
        slot: {k: t.clone() for k, t in model.network(slot).state_dict().items()} for slot in ("encoder", "decoder")
    }
    model.encoder.requires_grad_(False)  # torch takes other kernels where a weight may learn: the last bit differs
    codes = model.encode(x).mean
    zoo.train(model, x, value_range=(-1, 1))
    folder = load_file("theirs/diffusion_pytorch_model.safetensors")
    for slot, tensors in before.items():
        there = {name: folder[name] for name in tensors}
        assert digest(tensors) == digest(there)
        assert (digest(model.network(slot).state_dict()) == digest(there)) == (slot in kept)
    assert torch.equal(model.encode(x).mean, codes)
    if "generator" in model.recipe.slots:
        exporter = load_registry().find("exporter", "diffusers")
        with pytest.raises(ZooError, match="slot 'generator' takes noise, which no autoencoder of diffusers does"):
            export_model(model, exporter, Path("out"), {"decoder": "generator"})
    learner = model.generator if "generator" in model.recipe.slots else model.decoder
    assert not torch.equal(learner.decoder.conv_in.weight.detach(), kl.decoder.conv_in.weight.detach())

"""What leaves the zoo: every bundled recipe as programs of ``torch.export``, some as ONNX graphs, by numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import python
from faults.tiny import BEGUN, CONFIG, PUBLISHED, SETTINGS, TRAIN, settings
from torch import Tensor
from zoo_export.computations import Computation, computations
from zoo_export.graphs import translate
from zoo_export.traced import Named, _exactly, checked, most_of, traced

import zoo
from zoo import api
from zoo.errors import RequestError
from zoo.model.forward import evaluating
from zoo.model.model import Model
from zoo.recipe import Recipe, load_recipe
from zoo.recipe.schema import Part
from zoo.registry import load_registry
from zoo.runs.export import export_model

PLUGIN = Path(__file__).parents[1] / "parts" / "field_parts.py"
HALF = f"{{use: diffusers, config: {CONFIG}}}"
HALVES = [f"slots.{slot}={HALF}" for slot in ("encoder", "decoder")]
FIVE = CONFIG.replace("4, 4, 4, 8", "4, 4, 4, 4, 8")
JUDGED = ["slots.perceptual={kind: module, use: pd-lite0}"]
SHORT = [f"slots.{slot}.{what}" for slot in ("encoder", "decoder") for what in ("multipliers=[1, 1, 1]", "blocks=1")]
SHORT += ["slots.encoder.factor=4", "slots.encoder.attention=false", "slots.decoder.attention=false", *JUDGED]
LARGE = {
    **{name: [*HALVES, *JUDGED] for name in ("kl-f4", "kl-f8")},
    "kl-f16": [*(f"slots.{slot}.config={FIVE}" for slot in ("encoder", "decoder")), *JUDGED],
    **{
        name: [*SHORT, "slots.quantiser.entries=8", "slots.encoder.depth=4"] for name in ("vqgan", "llamagen-vq", "rvq")
    },
    "fsq": [*SHORT, "slots.quantiser.levels=[8, 6, 5]", "slots.encoder.depth=3"],
    "lfq": [*SHORT, "slots.encoder.depth=3"],
    "finetune-decoder": HALVES,
    "sharp": [*HALVES, f"slots.generator={HALF}", "noise=3"],
    "rae": [
        *JUDGED,
        "slots.encoder={use: timm-maps, model: test_vit, pretrained: false, depth: 64, factor: 16}",
        "slots.decoder={use: vit, width: 8, blocks: 1, heads: 2}",
        "slots.critic={use: timm-frozen, model: test_vit, pretrained: false}",
    ],
}
"""What makes small what ``faults.tiny`` leaves out."""


@cache
def tiny(name: str) -> Recipe:
    """Any bundled recipe, tiny."""
    if name not in PUBLISHED | BEGUN:
        whole = load_recipe(name)
        few = [f"values.{label}.steps=1" for label, part in whole.values.items() if "steps" in part.options]
        deep = "encoder" in whole.slots and whole.slots["encoder"].options.get("depth", 0) > 4
        few += ["slots.encoder.depth=4"] * (deep and "top_encoder" not in whole.slots)  # traced once with another's
        return load_recipe(name, [*settings(name), *few])
    slots = load_recipe(name, LARGE[name]).slots
    widths = [f"slots.{slot}.width=4" for slot, part in slots.items() if "width" in part.options and name != "rae"]
    layers = ["slots.critic.layers=1"] if "layers" in slots["critic"].options else []
    size = 32 if name == "rae" else 16
    return load_recipe(name, [*SETTINGS, *TRAIN, *LARGE[name], *widths, *layers, f"data.size={size}"])


@cache
def model_of(name: str) -> Model:
    """As a run's own, whose slots begin with nobody's weights."""
    return Model(tiny(name), restored=True).eval()


def names() -> list[str]:
    return sorted(recipe.name for recipe in load_registry().recipes())


def of(name: str) -> Iterator[tuple[str, Computation]]:
    """Each computation of a recipe, and a text that is another where the networks or the values of it are others.

    What networks have in numbers (width, levels, entries) is left out: a number changes how often an operation is
    traced, or how large its tensors are, and no operation.
    """
    model = model_of(name)
    with evaluating(model, model.recipe.batch_stats), torch.no_grad():
        for one in computations(model):
            slots = {label: built(part) for label, part in model.recipe.slots.items() if hasattr(one.parts, label)}
            yield repr((one.name, slots, one.computed, model.recipe.batch_stats)), one


def built(part: Part) -> tuple[str, dict[str, Any]]:
    """The part of a slot, and those of its options that are names or switches."""
    return part.entry.id, {key: value for key, value in part.options.items() if isinstance(value, str | bool | None)}


OPERATORS = Path(__file__).parents[1] / "golden" / "onnx-operators.txt"
KINDS = [
    ("codec", "decode"),
    ("dc-ae-lite", "encode"),
    ("flow-matching-class", "generate"),
    ("rae", "encode"),
    ("stylegan2-lite", "decode"),
]
"""A computation of each kind of networks. What codes of bits and a mixture's prior have beside, shifts and places, is
in ``Attending``."""
SEEN: set[str] = set()
"""Computations that were traced: many recipes differ in what they minimise, and in numbers, alone."""


@pytest.mark.parametrize("name", names())
def test_every_bundled_recipe_becomes_programs(name: str) -> None:
    """For any number of items, bit for bit; of diffusers' decoders for 63 at most, which is told.

    Each kind of computation is traced once (see ``of``), whatever recipes have it. What reconstructs is an encoder and
    a decoder, each of which is traced; AVAE's is traced too.
    """
    for key, one in of(name):
        if key in SEEN or (one.name == "reconstruct" and name != "avae"):
            continue
        SEEN.add(key)
        module = Named(one)
        program = traced(module)
        new = operators(program) - {*OPERATORS.read_text().splitlines()}
        assert not new, f"try {new} as ONNX: python tests/sweep_onnx.py"
        assert most_of(program) in (None, 63)
        run = program.module()
        assert checked(module, lambda given, run=run: [*run(**given).values()], 0.0) == 0.0


def operators(program: torch.export.ExportedProgram) -> set[str]:
    return {str(node.target) for node in program.graph.nodes if node.op == "call_function"}


def by_onnxruntime(module: Any, folder: Path) -> float:
    """How far a graph of it, of any number of items, is from the model."""
    translate(module).save(folder / "a.onnx")
    session = onnxruntime.InferenceSession(folder / "a.onnx", providers=["CPUExecutionProvider"])
    assert [port.name for port in session.get_outputs()] == [*module.outputs]

    def run(given: dict[str, Tensor]) -> list[Tensor]:
        return [torch.from_numpy(n) for n in session.run(None, {name: t.numpy() for name, t in given.items()})]

    return checked(module, run, 1e-5)


@pytest.mark.parametrize(("name", "computation"), KINDS)
def test_one_of_each_kind_becomes_a_graph(name: str, computation: str, here: Path) -> None:
    """What the others are made of was tried by ``tests/sweep_onnx.py``, whose list of operators theirs are held to."""
    (module,) = [Named(one) for _, one in of(name) if one.name == computation]
    with torch.no_grad():
        assert by_onnxruntime(module, here) < 1e-5


def exported(model: Model, how: str, to: Path, **options: Any) -> tuple[list[str], list[str]]:
    """The files that an exporter writes, and what it says."""
    said: list[str] = []
    return export_model(model, load_registry().find("exporter", how), to, options, said.append), said


def part(name: str, *wanted: str) -> Model:
    """A model that shows some of its outputs alone."""
    recipe = tiny(name)
    shown = {output: value for output, value in recipe.outputs.items() if output in wanted}
    return Model(load_recipe({**recipe.plain(), "outputs": shown}), restored=True)


ALONE = """\
import sys
sys.modules["zoo"] = None  # whoever imports it fails
import torch
decode, given = torch.export.load(sys.argv[1]).module(), torch.load(sys.argv[2])
torch.save(decode(**given)["images"], sys.argv[3])
"""


def test_a_program_runs_where_there_is_no_zoo(here: Path) -> None:
    model = part("avae", "sample")
    files, said = exported(model, "torch", here / "out")
    assert files == ["README.md", "decode.pt2", "graphs.json"]
    assert said == ["decode.pt2(z, noise): at most 0 from the model, by torch.export"]
    given = {"z": torch.randn(5, 5), "noise": torch.randn(5, 3)}
    torch.save(given, "given.pt")
    done = python("-I", "-c", ALONE, "out/decode.pt2", "given.pt", "images.pt", cwd=here)
    assert done.code == 0, done.err
    assert torch.equal(torch.load("images.pt"), model.decode(given["z"], noise=given["noise"]))


def test_a_graph_of_onnx_takes_and_gives_what_it_says(here: Path) -> None:
    """Both halves of a VAE by onnxruntime, the first on pixels, as a person has them."""
    model = part("vae", "posterior", "sample")
    files, said = exported(model, "onnx", here / "out", pixels=True)
    assert files == ["README.md", "decode.onnx", "encode.onnx", "graphs.json"]
    assert said[0].startswith("encode.onnx(x): at most ")
    encode, decode = (onnxruntime.InferenceSession(f"out/{name}.onnx") for name in ("encode", "decode"))
    (x,) = encode.get_inputs()
    assert (x.name, x.type, x.shape) == ("x", "tensor(uint8)", ["batch", 16, 16, 3])
    pixels = np.random.default_rng(0).integers(256, size=(7, 16, 16, 3)).astype(np.uint8)
    mean, log_sigma = encode.run(["mean", "log_sigma"], {"x": pixels})
    own = model.encode(api.to_model(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
    np.testing.assert_allclose(mean, own.mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(log_sigma, own.log_sigma, rtol=1e-5, atol=1e-5)
    (images,) = decode.run(None, {"z": mean})
    theirs = api.to_pixels(model.decode(own.mean)).permute(0, 2, 3, 1).numpy()
    assert images.dtype == np.uint8
    assert np.abs(images.astype(int) - theirs).max() <= 1
    told = json.loads((here / "out/graphs.json").read_text())["encode"]
    assert told["inputs"]["x"]["about"] == "x, images in 0..255, channels last"
    assert 0 <= told["difference"] < 1e-5
    for block in (here / "out/README.md").read_text().split("```python\n")[1:]:
        at = block.partition("```")[0].replace('"encode.onnx"', '"out/encode.onnx"').replace('"decode', '"out/decode')
        exec(compile(at, "README.md", "exec"), {})


def test_classes_and_all_random_numbers_are_inputs(here: Path) -> None:
    from test_fields import RECIPES

    (here / "r.yaml").write_text(json.dumps(RECIPES["class-vae"]))
    model = zoo.build("r.yaml", plugins=[PLUGIN])
    named = {one.name: one for one in computations(model.eval())}
    assert {name: [*one.inputs] for name, one in named.items()} == {
        "encode": ["x", "label"],
        "decode": ["label", "z"],
        "reconstruct": ["x", "label", "random_z_posterior"],
    }
    label = named["decode"].inputs["label"]
    assert label["classes"] == 3
    assert (label["kind"], label["dtype"], label["shape"]) == ("label", "int64", ["batch"])
    z, classes = torch.randn(4, 6), torch.tensor([0, 1, 2, 2])
    with torch.no_grad():
        traced_one = traced(Named(named["decode"])).module()
    assert torch.equal(traced_one(label=classes, z=z)["images"], model.decode(z, given={"label": classes}))


def test_a_prior_that_is_not_normal_has_a_graph_of_its_own() -> None:
    late = ["slots.late={kind: prior, use: mixture}", "after=[late]", "values.z={use: z, with: {prior: late}}"]
    model = Model(load_recipe("vae", [*settings("vae"), *late]))
    model.late.means.normal_()
    with torch.no_grad():
        named = {one.name: one for one in computations(model.eval())}
        assert [*named["generate"].inputs] == ["random_z_1", "random_z_2"]
        assert [told["kind"] for told in named["generate"].inputs.values()] == ["uniform", "normal"]
        examples = named["generate"].examples(6)
        z = model.late.sample(6, Handed([*examples.values()]))
        assert torch.equal(named["generate"](**examples)["images"], model.decode(z))
        program = traced(Named(named["generate"])).module()
        assert torch.equal(program(**examples)["images"], model.decode(z))


class Handed:
    """Numbers in the place of a draw."""

    def __init__(self, numbers: list[Tensor]) -> None:
        self.normal = self.uniform = lambda *_: numbers.pop(0)


def test_what_cannot_leave_is_told_in_a_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RequestError, match=r"exporter 'onnx': needs onnx, .*pip install 'generative-zoo\[onnx\]'"):
        exported(part("vae", "sample"), "onnx", here / "out")
    with pytest.raises(
        RequestError, match="exporter 'torch': recipe 'vae' has no outputs, so there is nothing to export"
    ):
        exported(part("vae"), "torch", here / "out")
    model = part("vae", "sample")
    monkeypatch.setattr(model.decoder, "forward", lambda z: z[:, :3] if z.sum() > 0 else -z[:, :3])
    with pytest.raises(RequestError, match=r"exporter 'torch': 'decode' cannot be traced: .*write x.shape"):
        exported(model, "torch", here / "out")
    assert not [*here.iterdir()]


def test_a_difference_is_refused_unless_it_is_allowed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = part("vae", "sample")
    own, turns = model.decoder.forward, iter(range(1000))
    monkeypatch.setattr(model.decoder, "forward", lambda z: own(z) * (1 + 1e-3 * next(turns)))
    with pytest.raises(RequestError, match=r"'images' of 'decode' differs from the model by 0\.0.*tolerance="):
        exported(model, "torch", here / "out")
    assert exported(model, "torch", here / "out", tolerance=0.5)[0]


class Attending(torch.nn.Module):
    """Attention of items without heads, by a scale, a mask and causally, shifts, places among others: ONNX has none."""

    name = about = "attend"
    pixels = False
    inputs: ClassVar = {"query": {"about": "", "kind": "code"}, "key": {"about": "", "kind": "code"}}
    outputs: ClassVar = {name: {"about": "", "kind": "code"} for name in ("mean", "index", "bits", "place")}

    def examples(self, count: int) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(count)
        return {name: torch.randn(count, 6, 4, generator=draw) for name in self.inputs}

    def forward(self, query: Tensor, key: Tensor) -> dict[str, Tensor]:
        attend = torch.nn.functional.scaled_dot_product_attention
        mask = (key[:, :, :1] < key[:, :, 1:2].mT) | torch.eye(6, dtype=torch.bool)
        seen = attend(query, key, key, scale=0.3) + attend(query, key, key, is_causal=True)
        seen = seen + attend(query, key, key, mask) + attend(query[:, None], key[:, None], key[:, None])[:, 0]
        index = ((seen > 0).long() << torch.arange(4)).sum(2)
        place = torch.searchsorted(key.sort(2).values, query) + torch.searchsorted(
            torch.arange(-2.0, 2), key, right=True
        )
        return {"mean": seen.mean(2), "index": index, "bits": index[..., None] >> torch.arange(4) & 1, "place": place}


def test_attention_shifts_and_places_are_written_as_what_onnx_has(here: Path) -> None:
    module: Any = Attending()
    assert by_onnxruntime(module, here) < 1e-5


def test_what_the_model_itself_rounds_is_no_fault_of_a_program() -> None:
    (module,) = [Named(one) for one in computations(part("vae", "sample").eval().requires_grad_(False))]
    given = module.examples(1)
    (exact,) = _exactly(module, given).values()
    (own,) = module(**given).values()
    assert exact.dtype == torch.float64
    assert own.dtype == torch.float32
    rounded = float((own - exact).abs().max())
    run = lambda given: [*_exactly(module, given).values()]  # noqa: E731
    assert 0 < rounded < 1e-6
    assert checked(module, run, rounded / 1000) == 0.0
    with pytest.raises(ValueError, match="'images' of 'decode' differs from the model by"):
        checked(module, lambda given: [t + 3 * rounded for t in run(given)], 2 * rounded)

"""``zoo explore``: a page of a browser on which codes, noise and what is given are moved, and the images follow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zoo.data.batches import load_images
from zoo.data.fields import seen
from zoo.data.given import read_images
from zoo.errors import RequestError
from zoo.model.model import Model, needs
from zoo.recipe.data_fields import class_name
from zoo.report.codes import most_active, path_between, posterior_means, sampled_from
from zoo.report.figures import reconstructions
from zoo.report.pictures import grid_image

SLIDERS, REACH = 8, 3.0
"""How many numbers of a code can be moved, and how far, in standard deviations of the prior."""
IN_A_ROW = 4
SIDE, STEPS = 256, 8
"""Pixels of an image as it is shown, and images of a path."""
DRAWN = "as drawn"


@dataclass(frozen=True)
class Explored:
    """A run's model, and what can be done with it.

    Args:
        model: in evaluation mode.
        units: the numbers of its codes that vary most over test images, the most active first, each with that variance
            (NaN where no image was at hand).
        lacking: why there is no such variance; empty if there is.
    """

    model: Model
    units: Sequence[tuple[int, float]]
    lacking: str = ""

    @classmethod
    def of(cls, model: Model) -> Explored:
        """Looks at the run's test images, if they can be had, for what its codes use."""
        model.eval()
        if not model.samples or not sampled_from(model, "z"):
            return cls(model, ())
        count = min(SLIDERS, torch.Size(model.recipe.sizes.code).numel())
        means, why = None, "it has no encoder to look at test images with"
        try:
            means = posterior_means(model, load_images(model.recipe))
        except RequestError as error:  # the run is here, its data is elsewhere
            why = str(error)
        if means is None or len(means) < 2:
            return cls(model, [(unit, float("nan")) for unit in range(count)], why)
        return cls(model, [*most_active(means, count).items()])

    @property
    def reads(self) -> bool:
        """Whether images go through it, and nothing beside them."""
        model, output = self.model, self.model.recipe.outputs.get("reconstruction")
        if output is None or model.recipe.x.kind != "image":
            return False
        asked = [name for name in model.recipe.graph.fields if needs(model.recipe.graph, [output], name, {})]
        return asked == [model.recipe.x.name]

    @property
    def labels(self) -> dict[str, list[str]]:
        """Labels that samples depend on, and their classes."""
        fields = {name: field for name, field in self.model.recipe.fields.items() if field.kind == "label"}
        drawable = (name for name in fields if name in self.model.drawable and sampled_from(self.model, name))
        return {name: [class_name(fields[name], c) for c in range(fields[name].classes)] for name in drawable}

    def sample(self, seed: int, strength: float, moved: Sequence[float], given: Mapping[str, str]) -> Image.Image:
        """An image of a seed: its code moved by so many standard deviations, its noise times a strength.

        ``given`` are classes by name; those of other models are passed over.
        """
        model, given = self.model, {name: label for name, label in given.items() if name in self.labels}
        known: dict[str, Any] = {}
        for name in (name for name in ("z", "noise") if sampled_from(model, name)):
            (known[name],) = model.compute(name, batch=1, seed=seed)
        if "z" in known:
            code = known["z"].flatten(1).clone()
            for (unit, _), by in zip(self.units, moved, strict=False):
                code[:, unit] += by
            known["z"] = code.reshape(known["z"].shape)
        if "noise" in known:
            known["noise"] = strength * known["noise"]
        count = None if known else 1
        return grid_image([model.sample(count, seed=seed, given=given, **known)], side=SIDE)

    def read(self, image: Image.Image) -> Tensor:
        """A picture as the run's own data would be."""
        pixels, _ = read_images([image], self.model.recipe)
        return seen(pixels.to(self.model.device), self.model.recipe.x, self.model.dtype)

    def again(self, image: Image.Image) -> list[tuple[Image.Image, str]]:
        """The picture, and what each output makes of it, with its name."""
        x = self.read(image)
        made = reconstructions(self.model, self.model.batch({self.model.recipe.x.name: x}))
        return [(grid_image([of], side=SIDE), name) for name, of in {"original": x, **made}.items()]

    def path(self, start: Image.Image, end: Image.Image, seed: int) -> Image.Image:
        """From the code of one picture to that of another."""
        ends = torch.cat([self.read(start), self.read(end)])
        return grid_image(
            [torch.cat([ends[:1], path_between(self.model, ends, STEPS, seed, {}), ends[1:]])], side=SIDE // 2
        )


def page(runs: Mapping[str, Model]) -> Any:
    """The page of one run, or of several side by side, as an application of Gradio that is not launched.

    Raises:
        RequestError: if Gradio is not installed, or a run neither samples nor reconstructs images.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio
    except ImportError:
        raise RequestError("zoo explore needs Gradio: pip install 'generative-zoo[explore]'") from None
    explored = {name: Explored.of(model) for name, model in runs.items()}
    for name, one in explored.items():
        if not one.model.samples and not one.reads:
            raise RequestError(
                f"{name}: what it makes asks for more than codes, a class or an image, so there is nothing to explore"
            )
    with gradio.Blocks(title=f"zoo: {', '.join(runs)}") as blocks:
        gradio.Markdown(f"# {', '.join(runs)}")
        if any(one.model.samples for one in explored.values()):
            with gradio.Tab("Sample"):
                _samples(gradio, blocks, explored)
        readers = {name: one for name, one in explored.items() if one.reads}
        if readers:
            with gradio.Tab("Reconstruct"):
                _reconstructions(gradio, readers)
        walkers = {name: one for name, one in readers.items() if one.units}
        if walkers:
            with gradio.Tab("Between two images"):
                _paths(gradio, walkers)
    return blocks


def _samples(gradio: Any, blocks: Any, explored: Mapping[str, Explored]) -> None:
    """A seed, the noise, labels, and the numbers of the codes: all of them move all runs."""
    sampling = {name: one for name, one in explored.items() if one.model.samples}
    classes = {label: of for one in sampling.values() for label, of in one.labels.items()}
    with gradio.Row():
        seed = gradio.Number(0, label="seed", precision=0, minimum=0)
        noisy = any(sampled_from(one.model, "noise") for one in sampling.values())
        strength = gradio.Slider(0, 2, 1, label="noise", visible=noisy, info="1 is as in training")
        said = {label: gradio.Dropdown([DRAWN, *of], value=DRAWN, label=label) for label, of in classes.items()}
    for name, one in sampling.items():
        if one.lacking:
            gradio.Markdown(
                f"{name}: the sliders are of the first numbers of its codes, not the most active: {one.lacking}"
            )
    most, moved = max(len(one.units) for one in sampling.values()), []
    for first in range(0, most, IN_A_ROW):
        with gradio.Row():
            places = range(first, min(first + IN_A_ROW, most))
            moved += [gradio.Slider(-REACH, REACH, 0, label=_told(sampling, place)) for place in places]
    with gradio.Row():
        shown = [
            gradio.Image(label=name, type="pil", format="png", interactive=False, height=SIDE) for name in sampling
        ]

    def made(seed: int, strength: float, *others: Any) -> Any:
        chosen, by = others[: len(said)], others[len(said) :]
        given = {name: value for name, value in zip(said, chosen, strict=True) if value != DRAWN}
        return _outputs(one.sample(int(seed or 0), strength, by, given) for one in sampling.values())

    inputs = [seed, strength, *said.values(), *moved]
    for each in inputs:
        each.change(made, inputs, shown, show_progress="hidden", trigger_mode="always_last")
    blocks.load(made, inputs, shown, show_progress="hidden")


def _told(sampling: Mapping[str, Explored], place: int) -> str:
    """Which number of each run's codes a slider moves."""
    units = [one.units[place] for one in sampling.values() if place < len(one.units)]
    told = (f"z {unit}" + (f" ({variance:.2f})" if variance == variance else "") for unit, variance in units)
    return ", ".join(dict.fromkeys(told))


def _reconstructions(gradio: Any, explored: Mapping[str, Explored]) -> None:
    """An image that is dropped in, and what each run makes of it."""
    with gradio.Row():
        given = gradio.Image(type="pil", label="an image of yours", height=SIDE)
        shown = [gradio.Gallery(label=name, columns=3, height=SIDE, format="png") for name in explored]

    def made(image: Image.Image | None) -> Any:
        return _outputs([] if image is None else one.again(image) for one in explored.values())

    given.change(made, given, shown, show_progress="hidden")


def _paths(gradio: Any, explored: Mapping[str, Explored]) -> None:
    """Two images, and the straight line between their codes."""
    with gradio.Row():
        ends = [gradio.Image(type="pil", label=label, height=SIDE) for label in ("from", "to")]
    shown = [gradio.Image(label=name, type="pil", format="png", interactive=False) for name in explored]

    def made(*pictures: Image.Image | None) -> Any:
        both = [picture for picture in pictures if picture is not None]
        return _outputs(one.path(both[0], both[1], 0) if len(both) == 2 else None for one in explored.values())

    for each in ends:
        each.change(made, ends, shown, show_progress="hidden")


def _outputs(values: Iterable[Any]) -> Any:
    """What a function of the page returns for its outputs: one value for one, which Gradio takes as it is."""
    found = list(values)
    return found if len(found) > 1 else found[0]


def launch(runs: Mapping[str, Model], host: str, port: int) -> Any:
    """Serves the page, and returns what serves it: Gradio's, with ``local_url``, ``block_thread`` and ``close``.

    Args:
        runs: name -> model.
        host: who may look: ``127.0.0.1`` this machine alone, ``0.0.0.0`` everybody who reaches it.
        port: of it; 0 for a free one.

    Raises:
        RequestError: as ``page``, or if the port cannot be had.
    """
    blocks, chosen = page(runs), {"server_port": port} if port else {}
    try:
        blocks.launch(server_name=host, prevent_thread_lock=True, quiet=True, share=False, footer_links=[], **chosen)
    except OSError:
        raise RequestError(f"port {port} of {host} cannot be had; --port 0 takes one that is free") from None
    return blocks

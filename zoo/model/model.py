"""A recipe's slots, wired: an ordinary ``nn.Module`` that computes any of the recipe's values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.draws import Draw, Draws, forked, fresh, seed_global
from zoo.errors import Problem, RecipeError, RequestError, did_you_mean, reason
from zoo.machine.process import weights_follow
from zoo.machine.torch_private import lacks_numbers, nothing_begun_on_meta, out_of_memory, pickled_by
from zoo.model.begin import begin_with
from zoo.model.forward import evaluating
from zoo.model.given import Frequencies, batch_size, checked, drawn, one, refuse_without
from zoo.model.kept import keep_once, lay_innermost, unexpand, unmade
from zoo.model.program import Function, bound, given_in, names_computed, run
from zoo.recipe.graph import COUNTS, Graph, UnknownNameError
from zoo.recipe.schema import Part, Recipe
from zoo.types import Batch


class Model(nn.Module):
    """A model built from a recipe. Its slots are attributes: ``model.encoder``, ``model.critic``.

    Args:
        recipe: the resolved recipe.
        device: where the networks live. On ``meta`` they have shapes and no memory.
        restored: whether a run brings the weights of its slots, whatever they began at.

    Attributes:
        parts: the parts that its networks are made of, by the networks' names.
        still: names of networks that a value or a term owns, and that nothing trains though they ask for gradients.
        train_size: images of the training set; a batch of them until a training says.
        begun: of each slot that begins with weights, where they lie, and their SHA-256; empty for a ``restored`` model.
        trained: what its next training goes on from: tensors by name, and plain data; None for a model that is new.
        weights: which of its weights it holds, ``raw``, ``ema`` or ``best``.
        loaded_from: the run that it was loaded from.
        plugins: files with plugins, beside those installed, that its parts may be of.
        frequencies: of each label that its training asks for, how often it saw each class: as often it draws them.
    """

    trained: tuple[dict[str, Tensor], dict[str, Any]] | None = None
    weights = "raw"
    loaded_from: Path | None = None
    plugins: tuple[Path, ...] = ()

    def __init__(self, recipe: Recipe, device: torch.device | str = "cpu", *, restored: bool = False) -> None:
        super().__init__()
        self.recipe, self.parts = recipe, dict(recipe.slots)
        with weights_follow() if restored else nullcontext():
            for label, part in recipe.slots.items():
                self.add_module(label, build_part(recipe, part, device))
        self.owned, self.still = nn.ModuleDict(), list[str]()
        self.train_size = recipe.train.batch
        self.functions: dict[str, Function] = {name: self._bind(p, device) for name, p in recipe.values.items()}
        self.terms: dict[str, Function] = {key: self._bind(part, device) for key, part in recipe.terms.items()}
        asked = [recipe.fields[name] for name in recipe.asked_fields[1:]]
        self.frequencies = Frequencies({field.name: field.classes for field in asked if field.kind == "label"}, device)
        if recipe.train.channels_last:
            lay_innermost(self)
        keep_once(self)
        elsewhere = restored or torch.device(device).type == "meta"
        self.begun: dict[str, Any] = {} if elsewhere else begin_with(self, recipe)
        self.train()

    def train(self, mode: bool = True) -> Model:
        """As of any module; but slots that begin with weights and that nothing trains are always as at evaluation."""
        super().train(mode)
        for slot in self.recipe.held():
            self.get_submodule(slot).eval()
        return self

    def _bind(self, part: Part, device: torch.device | str) -> Function:
        """A value's or a term's function with its options bound; a class is built, its networks kept."""
        target: Any = part.load()
        if not inspect.isclass(target):
            if part.changing:
                return partial(self._at_step, target, part)
            return partial(target, **part.arguments_for()) if part.options else target
        if part.learning:
            return _learn
        label = f"{part.entry.kind}_{part.label}"
        built = build_part(self.recipe, part, device, label)
        if not isinstance(built, nn.Module):
            return built.forward  # type: ignore[no-any-return]
        while label in self.owned:
            label += "_"
        self.owned[label], self.parts[f"owned.{label}"] = built, part
        if not part.learns:
            self.still += [f"owned.{label}"] * any(p.requires_grad for p in built.parameters())
            built.requires_grad_(False)
        return _call if part.learns else built

    def last(self, recipe: Recipe) -> Recipe:
        """Takes the same recipe, of which the length is now known; gives it back."""
        terms = dict(zip(recipe.terms, zip(recipe.terms.values(), self.terms.values(), strict=True), strict=True))
        named = {name: (part, self.functions[name]) for name, part in recipe.values.items()}
        self.recipe = recipe
        for functions, parts in ((self.terms, terms), (self.functions, named)):
            functions.clear()
            functions |= {key: self._bind(part, "cpu") if part.changing else was for key, (part, was) in parts.items()}
        return recipe

    def _at_step(self, target: Function, part: Part, *, at_step: int, **named: Any) -> Any:
        """A function whose options change with the step; outside of a training they are what they end at."""
        step = at_step if self.training else self.recipe.train.steps
        return target(**named, **part.arguments_for(step=step))

    def network(self, name: str) -> nn.Module:
        """A player by its name in recipes: a slot, a dotted part of one, or the networks that a term owns."""
        return self.owned[f"term_{name}"] if name in self.recipe.learners() else self.get_submodule(name)

    @property
    def device(self) -> torch.device:
        """Where the networks live."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the networks' parameters."""
        return next(self.parameters()).dtype

    def draw(self, *key: object) -> Draw:
        """A stream of random numbers on this model's device, a function of the recipe's seed and ``key``."""
        return Draw(self.recipe.seed, *key, device=self.device, dtype=self.dtype)

    @torch.no_grad()
    def compute(
        self,
        *names: str,
        given: Mapping[str, Any] | None = None,
        batch: int = 0,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Any, ...]:
        """Values by name, in evaluation mode, without gradients.

        Args:
            names: values, or outputs of the recipe (``sample``, ``reconstruction``).
            given: values that are known, such as ``{"x": images}`` or ``{"z": codes}``. Labels that are needed and
                not given are drawn as the training saw them, but those of items that are given.
            batch: how many, where nothing given says so.
            seed: which draw of the noise; a new one at each call when None.
            generator: where a new draw comes from; torch's own, which ``torch.manual_seed`` sets, when None.

        Raises:
            RequestError: if a name is unknown, or needs images, or labels of these, and none were given.
        """
        wanted, known = [self.recipe.outputs.get(name, name) for name in names], self._known(given or {}, batch)
        if known.keys() & {*self.recipe.graph.fields} - self.drawable:
            labels = [name for name in self._missing(wanted, known) if name in self.drawable]
            refuse_without(self.recipe, labels, known)
        return self._completed(wanted, known, self._drawing(seed, generator))

    @torch.no_grad()
    def _completed(self, wanted: list[str], known: dict[str, Any], draws: Draws) -> tuple[Any, ...]:
        """Values in evaluation mode; labels that are not known are drawn, other fields must be."""
        for name in self._missing(wanted, known):
            if name not in self.drawable:
                what, kind = ", ".join(dict.fromkeys(wanted)), self.recipe.fields[name].kind
                cure = f"give them, --given {name}=... or given={{'{name}': ...}}"
                raise RequestError(f"recipe '{self.recipe.name}': {what} cannot be had without {kind}s {name}; {cure}")
            known[name] = drawn(self.frequencies, self.recipe.fields[name], known["batch"], draws(name))
        with evaluating(self, self.recipe.batch_stats):
            return self.values(wanted, known, draws)

    def _missing(self, wanted: list[str], known: Mapping[str, Any]) -> list[str]:
        """The fields that values need and that are not known."""
        try:
            needed = given_in(self.recipe.graph, known).order(wanted)
        except UnknownNameError as error:
            raise RequestError(f"recipe '{self.recipe.name}': {error}") from None
        return [name for name in self.recipe.graph.fields if name in needed and name not in known]

    @cached_property
    def drawable(self) -> frozenset[str]:
        """The fields that it draws itself where they are not given: labels."""
        others = self.recipe.graph.fields[1:]
        return frozenset(name for name in others if self.recipe.fields[name].kind == "label")

    def _known(self, given: Mapping[str, Any], batch: int = 0) -> dict[str, Any]:
        """What is given, and the builtins."""
        return {**self.counts(), "batch": batch_size(given) or batch, "sizes": self.recipe.sizes, **given}

    def counts(self) -> dict[str, int]:
        """What values may count by, before the first step and outside of a training."""
        return {**dict.fromkeys(COUNTS, 0), "train_size": self.train_size}

    def _drawing(self, seed: int | None = None, generator: torch.Generator | None = None) -> Draws:
        """Who draws -> its stream; of a new draw, a generator is asked for a seed once somebody draws."""
        chosen = cache(lambda: fresh(generator) if seed is None else seed)
        return lambda caller: self.draw("compute", chosen(), caller)

    def values(self, names: Sequence[str], given: Mapping[str, Any], draws: Draws) -> tuple[Any, ...]:
        """Values, builtins or slots by name, as the model stands: in its mode, with gradients if they are asked for."""
        graph = self.recipe.graph
        program = [bound(name, graph, self.functions, self.network) for name in names_computed(graph, names, given)]
        known = run(program, given, draws)
        return tuple(self.network(name) if name in graph.slots else known[name] for name in names)

    def output(self, name: str) -> str:
        """The value behind an output such as ``sample``; a RequestError if the recipe has no such output."""
        if name not in self.recipe.outputs:
            hint = did_you_mean(name, self.recipe.outputs)
            raise RequestError(f"recipe '{self.recipe.name}' has no output '{name}'{hint}")
        return self.recipe.outputs[name]

    def asked(self, value: str) -> list[str]:
        """The fields that a value is made of, in the data's order."""
        return self._missing([value], {})

    @property
    def samples(self) -> bool:
        """Whether it makes images of nothing but what it draws."""
        sample = self.recipe.outputs.get("sample")
        return sample is not None and self.drawable.issuperset(self._missing([sample], {}))

    def forward(self, x: Tensor | Mapping[str, Any]) -> Any:
        """The model's reconstruction of images (B, C, H, W) in [-1, 1], same shape and range; or of fields by name.

        As for any module: in the mode it is in, with gradients, and with new noise at each call.
        """
        target, known = self.output("reconstruction"), self._known(self.batch(x))
        refuse_without(self.recipe, self._missing([target], known), known)
        return self.values([target], known, self._drawing())[0]

    def batch(self, given: Tensor | Mapping[str, Any]) -> Batch:
        """Fields as its networks take them, on its device; a tensor alone is images x. A RequestError if it is none."""
        return checked(given, self.recipe, self.device, self.dtype)

    def sample(
        self,
        n: int | None = None,
        *,
        z: Tensor | None = None,
        noise: Tensor | None = None,
        given: Mapping[str, Any] | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """``n`` images, (n, C, H, W) in [-1, 1], others at each call.

        Args:
            n: how many; as many as there are ``z`` or ``noise``, else 16, when None.
            z: their codes (n, K), or of the shape that a code has; from the prior when None.
            noise: what else they depend on (n, A); drawn when None.
            given: fields of the data that they depend on, such as ``{"label": 3}`` or ``{"y": maps}``: a class for all
                or one for each, by number or name. Labels that are not given are drawn as the training saw them.
            seed: the same images for the same one.
            generator: where new codes and noise come from; torch's own, which ``torch.manual_seed`` sets, when None.

        Raises:
            RequestError: if it makes no images of codes or noise, or these are not of its size.
        """
        target, known, sizes = self.output("sample"), dict[str, Any](), self.recipe.sizes
        if seed is not None and generator is not None:
            raise RequestError(f"seed={seed} and a generator both say what is drawn; give one of them")
        if n is None and z is None and noise is None:
            n = batch_size(given or {}) or None
        for name, numbers, size in (("z", z, sizes.code), ("noise", noise, (sizes.noise,))):
            if numbers is None:
                continue
            if not needs(self.recipe.graph, [target], name, {}):
                raise RequestError(f"recipe '{self.recipe.name}': its samples are made of no {name}")
            numbers = torch.as_tensor(numbers)
            n = len(numbers) if n is None else n
            if numbers.shape != (n, *size):
                raise RequestError(f"{name} has the shape {tuple(numbers.shape)}; these samples take {(n, *size)}")
            known[name] = numbers.to(self.device, self.dtype)
        n = 16 if n is None else n
        if n < 1:
            raise RequestError(f"{n} samples cannot be had; ask for 1 or more")
        for name, value in (given or {}).items():
            known[name] = one(name, value, n, self.recipe, self.device, self.dtype)
            if not needs(self.recipe.graph, [target], name, {}):
                raise RequestError(f"recipe '{self.recipe.name}': its samples do not depend on {name}")
        (images,) = self._completed([target], self._known(known, n), self._drawing(seed, generator))
        return images  # type: ignore[no-any-return]

    def encode(self, x: Tensor | Mapping[str, Any]) -> Any:
        """The posterior of images (B, C, H, W) in [-1, 1], or of fields by name; its ``.mean`` is (B, K), or maps."""
        return self.compute(self.output("posterior"), given=self.batch(x))[0]

    def decode(
        self, z: Tensor, *, noise: Tensor | None = None, given: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """The images of codes, (B, K) or maps, as ``sample`` makes them of the prior's: (B, C, H, W) in [-1, 1]."""
        return self.sample(z=z, noise=noise, given=given, seed=seed)

    def reconstruct(
        self, x: Tensor | Mapping[str, Any], *, seed: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Images (B, C, H, W) in [-1, 1], or fields by name, through the model's reconstruction.

        The noise is another at each call, but for the same ``seed``.
        """
        name, given = self.output("reconstruction"), self.batch(x)
        return self.compute(name, given=given, seed=seed, generator=generator)[0]  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        pickled_by(self.modules())
        return super().__reduce_ex__(protocol)


def needs(graph: Graph, wanted: list[str], what: str, known: Mapping[str, Any]) -> bool:
    """Whether ``wanted`` need ``what`` once ``known`` are given."""
    return what in given_in(graph, known).order(wanted)


def _learn(self: Any, **named: Any) -> Any:
    """What the networks of a term that learns minimise."""
    return self.learn(**named)


def _call(self: Any, **named: Any) -> Any:
    """A term that learns, as a function of its own networks: the slot that it is."""
    return self(**named)


def build_part(recipe: Recipe, part: Part, device: torch.device | str = "cpu", owned: str = "") -> Any:
    """The network of a slot, or the class behind a value or term, initialised from (seed, its name) alone.

    ``owned`` is the name of what a value or term owns; empty for a slot.

    Raises:
        RecipeError: placed at the part, if its component refuses the sizes or options.
        NotImplementedError: if it cannot be made on the ``meta`` device.
    """
    target = part.load()
    what = f"{part.entry.kind} '{part.entry.name}'"
    where = torch.device(device)
    with forked(where), where, nothing_begun_on_meta():
        seed_global(where, recipe.seed, "init", owned or part.label)
        try:
            built = target(**part.arguments_for(recipe.sizes))
        except Exception as error:  # a stranger's constructor may raise anything
            if str(device) == "meta" and lacks_numbers(error):
                raise NotImplementedError(reason(error)) from error  # the caller tries it on the CPU
            whose = "" if owned else f" of slot '{part.label}'"
            cure = "; it asks for more memory than there is: make it smaller" if out_of_memory(error) else ""
            path = ("data", *filter(None, [recipe.fields[part.of or recipe.x.name].of]), "size")
            place = recipe.source.at(path) if "set data.size" in reason(error) else part.position
            said = f"{what}{whose}: {reason(error)}{cure}".replace("set data.size", f"set {'.'.join(path)}")
            raise RecipeError([Problem(place, said)]) from error
    if why := _unfit(built, part, slot=not owned):
        raise RecipeError([Problem(part.position, f"{what} {why}")])
    if isinstance(built, nn.Module):
        unexpand(built)
    return built


def _unfit(built: Any, part: Part, slot: bool) -> str:
    """Why what a component made cannot be used; empty where it can."""
    if not isinstance(built, nn.Module):
        return f"is {type(built).__name__}, not an nn.Module" if part.learns or slot else ""
    if part.learns and not any(True for _ in built.parameters()):
        return "has a learn() and no parameters that could"
    return unmade(built)

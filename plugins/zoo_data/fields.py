"""What the published sets have besides images: fields and the names of classes. Imports nothing heavy."""

from collections.abc import Mapping, Sequence

from zoo import api

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
"""As Fashion-MNIST's publisher names them."""

TEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""As CIFAR-10's publisher names them."""

_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""
HUNDRED = tuple(_FINE.split())
"""The fine classes of CIFAR-100, as its publisher names them."""

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
TEXTURES = ("stripes", "checks", "dots", "waves", "hair", "grain")
"""Of sprites."""

SEEN = 40
"""Attributes of a face in CelebA."""

DIGITS = api.Field("label", classes=10)


def labelled(label: api.Field) -> dict[str, api.Field]:
    """Images, each with a class."""
    return {"x": api.IMAGE, "label": label}


FIELDS: Mapping[str, Mapping[str, api.Field] | str] = {
    "sprites": {
        "x": api.IMAGE,
        "shape": api.Field("label", classes=SHAPES),
        "texture": api.Field("label", classes=TEXTURES),
        "mask": api.Field("mask", "H W", classes=("ground", "shape")),
        "flat": api.IMAGE,
        "factors": api.Field("vector", "7"),
    },
    "digits": labelled(DIGITS),
    "fashion-mnist": labelled(api.Field("label", classes=CLOTHES)),
    "mnist": labelled(DIGITS),
    "cifar10": labelled(api.Field("label", classes=TEN)),
    "cifar100": labelled(api.Field("label", classes=HUNDRED)),
    "svhn": labelled(DIGITS),
    "celeba": {"x": api.IMAGE, "attributes": api.Field("vector", str(SEEN), range=(0, 1))},
    "huggingface": "zoo_data.hub:huggingface_fields",
    "folder": "zoo_data.beside:folder_fields",
    "codes": "zoo_data.fields:codes_fields",
    "shards": "zoo_data.fields:shards_fields",
}
"""Name of a set -> what it brings, where that is more than images."""


def shards_fields(classes: int | Sequence[str]) -> tuple[dict[str, api.Field], dict[str, object]]:
    """The fields of ``shards``: a label, where they have classes."""
    named = classes if isinstance(classes, int) else tuple(classes)
    return labelled(api.Field("label", classes=named)) if classes else {"x": api.IMAGE}, {}


def codes_fields(
    trained: api.TrainedRun, fields: Mapping[str, Sequence[str]] | None
) -> tuple[dict[str, api.Field], dict[str, object]]:
    """The fields of ``codes`` that a recipe has written, or else the run's, and the option that says them without it.

    Raises:
        ValueError: where what is written is none.
    """
    if fields:
        return {name: _read(name, said) for name, said in fields.items()}, {}
    return dict(trained.fields), {"fields": {name: _written(field) for name, field in trained.fields.items()}}


def _written(field: api.Field) -> list[str]:
    classes = [str(field.classes)] if isinstance(field.classes, int) else [*field.classes]
    return [field.kind, field.shape, " ".join(map(str, field.range or ())), *classes]


def _read(name: str, said: Sequence[str]) -> api.Field:
    if len(said) < 4 or said[0] not in api.SHAPES:
        raise ValueError(f"codes: option 'fields' says {said} of {name!r}, which is no field; leave it out.")
    kind, shape, ends, *classes = said
    count = int(classes[0]) if len(classes) == 1 and classes[0].isdigit() else tuple(classes)
    low_high = tuple(map(float, ends.split()))
    return api.Field(kind, shape, count, (low_high[0], low_high[1]) if low_high else None)

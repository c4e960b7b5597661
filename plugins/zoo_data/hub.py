"""Hugging Face data sets, and which of their columns become fields. Imports no torch, and ``datasets`` if asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo import api
from zoo_data.files import user_path

Columns = Sequence[str] | Mapping[str, str | int | Sequence[str]]
"""Columns; or of each what it is: ``image``, how many numbers, or the names of its classes."""


def huggingface_fields(
    name: str, config: str, revision: str, split: str, columns: Columns, stream: bool = False
) -> tuple[dict[str, api.Field], dict[str, object]]:
    """What ``huggingface`` brings, and the option ``columns`` with what each of them is.

    Raises:
        ValueError: for a column that is not there, or can be no field.
        OSError: where the data set cannot be loaded.
    """
    if not isinstance(columns, Mapping):
        columns = _found(columns, load(name, config, revision, stream), split) if columns else {}
    return {"x": api.IMAGE, **{column: _field(column, said) for column, said in columns.items()}}, {"columns": columns}


def _field(column: str, said: str | int | Sequence[str]) -> api.Field:
    if not column.isidentifier() or column == "x":
        cure = "a field is named by letters, digits and '_'; rename_column() of the data set gives it another"
        raise ValueError(f"huggingface: column {column!r} cannot be a field's name: {cure}.")
    if said == "image":
        return api.IMAGE
    if isinstance(said, int) and said > 0:
        return api.Field("vector", str(said))
    if isinstance(said, str | int) or not said:
        raise ValueError(f"huggingface: column {column!r} is {said!r}; say image, how many numbers, or its classes.")
    return api.Field("label", classes=tuple(said))


def _found(columns: Sequence[str], splits: Mapping[str, Any], split: str) -> dict[str, Any]:
    """What each column is, by the data set's features."""
    if split not in splits:
        raise ValueError(f"huggingface: option 'split' is {split!r}; choices: {', '.join(sorted(splits))}.")
    features = splits[split].features
    if unknown := [column for column in columns if column not in features]:
        raise ValueError(f"huggingface: there is no column {unknown[0]!r}; choices: {', '.join(features)}.")
    return {column: _said(column, features[column]) for column in columns}


def _said(column: str, feature: Any) -> Any:
    from datasets import ClassLabel, Image, Value

    if isinstance(feature, ClassLabel):
        return list(feature.names)
    if isinstance(feature, Image):
        return "image"
    if isinstance(feature, Value) and feature.dtype == "bool":
        return ["false", "true"]
    inner, length = getattr(feature, "feature", feature), getattr(feature, "length", 1)  # of a list, and of a number
    if isinstance(inner, Value) and inner.dtype.startswith(("int", "uint", "float")) and length > 0:
        return int(length)
    kinds = "classes (ClassLabel), true or false, images, numbers, and lists of so many numbers"
    raise ValueError(f"huggingface: column {column!r} is {feature}; columns that may be fields are {kinds}.")


def load(name: str, config: str, revision: str, stream: bool = False) -> dict[str, Any]:
    """The splits of a data set by name; with ``stream`` what is not on this disk stays where it is.

    Raises:
        OSError: in a sentence.
    """
    try:
        import datasets
    except ImportError:
        raise OSError(
            "huggingface: the package 'datasets' is not installed; pip install 'generative-zoo[huggingface]'."
        ) from None
    if not name:
        raise ValueError("huggingface: option 'name' is empty; give a directory or a data set of the hub.")
    path = user_path(name)
    try:
        if (path / "dataset_dict.json").is_file():
            return dict(datasets.load_from_disk(str(path)))
        if (path / "dataset_info.json").is_file() and (path / "state.json").is_file():
            return {"train": datasets.load_from_disk(str(path))}
        where = str(path) if path.is_dir() else name
        if stream:
            return _streamed(datasets.load_dataset_builder(where, config or None, revision=revision or None))
        return dict(datasets.load_dataset(where, config or None, revision=revision or None))
    except Exception as error:
        if str(error).startswith("huggingface: "):
            raise
        why = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"huggingface: {name!r} cannot be loaded: {why}") from None


def _streamed(builder: Any) -> dict[str, Any]:
    """The rows of each split's Parquet files."""
    from zoo_data.parquet import Rows

    files = builder.config.data_files or {}
    return {split: Rows([*map(str, paths)], builder.info.features) for split, paths in files.items()}

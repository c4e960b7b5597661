"""Rows of Parquet files, on this disk or the hub, read by row groups and kept nowhere. Imports no torch."""

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from io import BytesIO
from threading import Lock
from typing import Any

import numpy as np

READERS = 8
"""Row groups, and footers, that are fetched at a time."""


class Rows:
    """The rows of some Parquet files. Of each its footer is read.

    Args:
        files: paths or addresses that ``fsspec`` opens, ``hf://`` among them.
        features: of the data set, as ``datasets`` has them; None for what the first file says.

    Attributes:
        starts: the first row of each row group, among all.
        identity: a hash of the footers, which say how large each column is, where, and what its ends are.

    Raises:
        OSError: where a file cannot be read, or is no Parquet.
    """

    def __init__(self, files: Sequence[str], features: Any = None) -> None:
        from datasets import Features

        if others := [file for file in files if not file.endswith(".parquet")]:
            cure = "the hub keeps most sets as Parquet too, with revision: refs/convert/parquet"
            raise OSError(f"huggingface: option 'stream' reads Parquet files, and {others[0]} is none; {cure}.")
        with ThreadPoolExecutor(READERS) as threads:
            self._files = [*threads.map(_footer, files)]
        self.features = features or Features.from_arrow_schema(self._files[0][1].schema.to_arrow_schema())
        self._groups = [(file, group) for file in self._files for group in range(file[1].num_row_groups)]
        counts = [file[1].row_group(group).num_rows for file, group in self._groups]
        self.starts, self._count = np.cumsum([0, *counts])[:-1], sum(counts)
        known = blake2b(digest_size=16)
        for _, footer in self._files:
            footer.write_metadata_file(content := BytesIO())
            known.update(content.getvalue())
        self.identity = known.hexdigest()

    def __len__(self) -> int:
        return self._count

    def group(self, number: int, column: str) -> Any:
        """A column of a row group, as Arrow has it.

        Raises:
            OSError: where it cannot be read.
        """
        from fsspec.core import url_to_fs
        from pyarrow.parquet import ParquetFile

        (path, footer), inside = self._groups[number]
        try:
            system, place = url_to_fs(path)
            with system.open(place) as file:
                return ParquetFile(file, metadata=footer).read_row_group(inside, columns=[column]).column(column)
        except Exception as error:  # noqa: BLE001 - of the network, the disk and Arrow
            raise OSError(f"huggingface: {path} cannot be read ({_said(error)}); run again when it can.") from None

    def tensor(self, column: str, dtype: Any) -> Any:
        """A column of numbers, or of lists of as many, (N, ...)."""
        import torch

        with ThreadPoolExecutor(READERS) as threads:
            groups = threads.map(lambda number: self.group(number, column).to_pylist(), range(len(self._groups)))
            return torch.cat([torch.tensor(values, dtype=dtype) for values in groups])


class Column:
    """A column of images as ``datasets`` gives it, ``data[rows][name]``; the row groups asked for last are kept.

    Args:
        rows: all columns.
        name: of this one.
        kept: how many row groups.
    """

    def __init__(self, rows: Rows, name: str, kept: int) -> None:
        self.column_names, self.rows = [name], rows
        self._kept, self._groups, self._lock = kept, OrderedDict[int, Any](), Lock()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Sequence[int]) -> dict[str, list[Any]]:
        places = np.searchsorted(self.rows.starts, rows, "right") - 1
        with self._lock:  # the training and what is shown of it may both ask
            found = self._had(dict.fromkeys(places.tolist()))
        starts = self.rows.starts
        images = [found[place][int(row - starts[place])].as_py() for place, row in zip(places, rows, strict=True)]
        return {self.column_names[0]: images}

    def _had(self, wanted: dict[int, None]) -> dict[int, Any]:
        missing = [group for group in wanted if group not in self._groups]
        if missing:
            with ThreadPoolExecutor(min(READERS, len(missing))) as threads:
                read = threads.map(lambda group: self.rows.group(group, self.column_names[0]), missing)
                self._groups.update(zip(missing, read, strict=True))
        found = {group: self._groups[group] for group in wanted}
        for group in wanted:
            self._groups.move_to_end(group)
        while len(self._groups) > self._kept:
            self._groups.popitem(last=False)
        return found


def _footer(path: str) -> tuple[str, Any]:
    from fsspec.core import url_to_fs
    from pyarrow.parquet import ParquetFile

    try:
        system, place = url_to_fs(path)
        with system.open(place) as file:
            return path, ParquetFile(file).metadata
    except Exception as error:  # noqa: BLE001 - of the network, the disk and Arrow
        raise OSError(
            f"huggingface: {path} cannot be read as Parquet ({_said(error)}); fetch it again, or remove it."
        ) from None


def _said(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__

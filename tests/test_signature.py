"""Signatures are read from source and say what importing would; options are checked with sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

import pytest

from zoo.registry import (
    REQUIRED,
    Entry,
    Option,
    Signature,
    TargetError,
    check_options,
    load_registry,
    to_arguments,
)
from zoo.registry.option_types import in_words, type_text
from zoo.registry.signature import from_object, read_signature

Read = Callable[..., Signature]

NETS = '''
    from __future__ import annotations
    from typing import Literal
    import functools
    from .kinds import Norm
    from .kinds import moved as renamed

    class Module: ...

    class Net(Module):
        """A net.

        Args:
            width: channels
                of the first stage.
            norm (Norm): which.

        Returns:
            codes.
        """

        def __init__(self, channels: int, size, *, width: int = 64, norm: Norm = "batch",
                     betas: tuple[float, float] = (0.5, -1e-3), path: str | None = None, needed: list[int]):
            pass

    class Heir(Net):
        """Inherits its parameters."""

    class Learned(Module):
        def __init__(self, channels, *, net: Literal["alex", "vgg"] = "alex"): ...
        def forward(self, x, generated): ...
        def update(self, x): ...

    def value(x, draw, *, scale: float = 1):
        """One line."""

    @functools.lru_cache
    def cached(x): ...
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    def write(**modules: str) -> None:
        for name, text in modules.items():
            (tmp_path / "sigpkg" / f"{name}.py").write_text(dedent(text))

    (tmp_path / "sigpkg").mkdir()
    write(__init__="", nets=NETS, kinds="Norm = __import__('typing').Literal['x']\n")
    write(kinds="from typing import Literal\nNorm = Literal['batch', 'none']\ndef moved(x): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "sigpkg"]:
        del sys.modules[name]


def forbidden() -> Any:
    raise AssertionError("imported")


def static(kind: str, attribute: str, module: str = "nets") -> Signature:
    return read_signature(kind, f"sigpkg.{module}:{attribute}", forbidden)


def live(kind: str, attribute: str, module: str = "nets") -> Signature:
    return from_object(kind, getattr(__import__(f"sigpkg.{module}", fromlist=["x"]), attribute))


@pytest.mark.usefixtures("package")
def test_a_class_is_read_without_importing_it(tmp_path: Path) -> None:
    signature = static("encoder", "Net")
    assert "sigpkg.nets" not in sys.modules
    assert signature.needs == ("channels", "size")
    assert signature.doc == "A net.\n\nReturns:\n    codes."
    assert Path(signature.file) == tmp_path / "sigpkg" / "nets.py"
    assert signature.line == 10
    assert signature.options == (
        Option("width", int, "int", 64, "channels of the first stage."),
        Option("norm", Literal["batch", "none"], "Literal['batch', 'none']", "batch", "which."),
        Option("betas", tuple[float, float], "tuple[float, float]", (0.5, -1e-3)),
        Option("path", str | None, "str | None", None),
        Option("needed", list[int], "list[int]", REQUIRED),
    )


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("kind", "name", "needs", "sizes"),
    [
        ("encoder", "Heir", ("channels", "size"), ()),
        ("term", "Learned", ("x", "generated"), ("channels",)),
        ("critic", "Learned", ("channels",), ()),
        ("metric", "Learned", ("x",), ("channels",)),
        ("value", "value", ("x", "draw"), ()),
        ("value", "renamed", ("x",), ()),
        ("value", "cached", ("x",), ()),
    ],
)
def test_needs(kind: str, name: str, needs: tuple[str, ...], sizes: tuple[str, ...]) -> None:
    signature = static(kind, name)
    assert (signature.needs, signature.sizes) == (needs, sizes)
    assert replace(live(kind, name), line=signature.line) == signature


REFUSED = {
    "def f(*args, x: int = 1): ...": "f() takes *args, so its options cannot be known; name each one",
    "def f(**options): ...": "f() takes **options, so",
    "def f(*, x=1): ...": "option 'x' of f() has no type; give it one, such as 'x: float'",
    "def f(*, x: set[int]): ...": "option 'x' of f() has type set[int], which is not plain; an option",
    "import enum\nclass E(enum.Enum): ...\ndef f(*, x: E): ...": "option 'x' of f() has type E, which",
    "WIDTH = object()\ndef f(*, x: int = WIDTH): ...": "the default of option 'x' of f() must be a literal",
    "def f(x=1): ...": "parameter 'x' of f() has a default but is positional; options go after a '*'",
    "class f:\n    pass": "class f has no forward(), whose parameters say what a term needs",
    "class f:\n    def forward(self, x, *, y: int = 1): ...": "f.forward() has options; those of a class",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_are_the_same_either_way(package: Callable[..., None], text: str) -> None:
    package(bad=text)
    for read in (static, live):
        with pytest.raises(TargetError) as caught:
            read("term", "f", "bad")
        assert REFUSED[text] in str(caught.value)


MADE = "def __init__(self, x, *, y: int = 1): ..."
IMPORTED = {
    "assigned": "import functools\ndef g(x, *, y: int = 1): ...\nf = functools.partial(g)",
    "decorated": "def d(g):\n    return g\n@d\ndef f(x, *, y: int = 1): ...",
    "base from elsewhere": f"import abc, json\nclass f(json.JSONEncoder, abc.ABC):\n    {MADE}",
    "generated": "exec('def f(x, *, y: int = 1): ...')",
    "metaclass": f"import abc\nclass f(metaclass=abc.ABCMeta):\n    {MADE}",
}


@pytest.mark.parametrize("case", IMPORTED)
def test_what_the_source_does_not_say_is_imported(package: Callable[..., None], case: str) -> None:
    package(odd=IMPORTED[case])
    load = lambda: __import__("sigpkg.odd", fromlist=["x"]).f  # noqa: E731
    signature = read_signature("encoder", "sigpkg.odd:f", load)
    assert signature.needs == ("x",)
    assert signature.options == (Option("y", int, "int", 1),)


def first_party() -> list[Entry]:
    return [e for e in load_registry().components() if e.distribution == "generative-zoo"]


@pytest.mark.parametrize("entry", first_party(), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_source_and_import_agree(entry: Entry) -> None:
    read = entry.signature
    imported = from_object(entry.kind, entry.load())
    assert replace(imported, line=read.line, file=read.file) == read
    assert Path(imported.file).resolve() == Path(read.file).resolve()


@pytest.mark.parametrize("entry", first_party(), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_first_party_options_are_documented(entry: Entry) -> None:
    assert [option.name for option in entry.signature.options if not option.doc] == []


@pytest.mark.parametrize("entry", first_party(), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_first_party_defaults_are_valid_options(entry: Entry) -> None:
    defaults, _ = check_options(entry.signature, {})
    assert check_options(entry.signature, defaults)[0] == defaults


# Options


def signature(**types: Any) -> Signature:
    options = tuple(Option(name, kind, type_text(kind), REQUIRED) for name, kind in types.items())
    return Signature((), options, "", "", 0)


def test_defaults_complete_the_options_as_plain_data() -> None:
    options = (
        Option("betas", tuple[float, float], "", (0, 0.999)),
        Option("lr", float, "", 1),
        Option("width", int, "", 64),
    )
    checked, problems = check_options(Signature((), options, "", "", 0), {"width": 32})
    assert (json.dumps(checked), problems) == ('{"betas": [0.0, 0.999], "lr": 1.0, "width": 32}', [])


GOOD: list[tuple[Any, Any, Any]] = [
    (float, 1, 1.0),
    (tuple[float, float], [0, 1.0], [0.0, 1.0]),
    (tuple[int, ...], (1, 2, 3), [1, 2, 3]),
    (int | None, None, None),
    (bool | str, "a.pt", "a.pt"),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (Literal[1, 3], 3, 3),
]


@pytest.mark.parametrize(("kind", "value", "wanted"), GOOD, ids=str)
@pytest.mark.parametrize("name", ["option", "copy", "model_config", "_hidden", "schema"])
def test_good_options(kind: Any, value: Any, wanted: Any, name: str) -> None:
    checked, problems = check_options(signature(**{name: kind}), {name: value})
    assert problems == []
    assert repr(checked) == repr({name: wanted})


BAD: list[tuple[Any, Any, str]] = [
    (int, "64", "option 'o' must be a whole number, not '64' (text)"),
    (int, True, "option 'o' must be a whole number, not true"),
    (int, 1.5, "option 'o' must be a whole number, not 1.5"),
    (int, None, "option 'o' must be a whole number, not null"),
    (float, "1e-4", "option 'o' must be a number, not '1e-4' (text)"),
    (float, float("nan"), "option 'o' must be a number, not nan"),
    (bool, 1, "option 'o' must be true or false, not 1"),
    (str, 3, "option 'o' must be text, not 3"),
    (int | None, "x", "option 'o' must be a whole number or null, not 'x' (text)"),
    (
        Literal["batch", "none"],
        "bach",
        "option 'o' must be one of 'batch', 'none', not 'bach'; did you mean 'batch'?",
    ),
    (Literal["batch", "none"], 3, "option 'o' must be one of 'batch', 'none', not 3"),
    (Literal[1, 3], True, "option 'o' must be one of 1, 3, not true"),
    (list[Literal[1, 3]], [3, True], "option 'o[1]' must be one of 1, 3, not true"),
    (Literal[1, 3] | None, True, "option 'o' must be one of 1, 3 or null, not true"),
    (Literal[1, 3], 2, "option 'o' must be one of 1, 3, not 2"),
    (tuple[float, float], [1, 2, 3], "option 'o' must be a list of 2 numbers, not [1, 2, 3]"),
    (tuple[float, float], [1], "option 'o' must be a list of 2 numbers, not [1]"),
    (tuple[float, float], [1, "2"], "option 'o[1]' must be a number, not '2' (text)"),
    (list[int] | None, [1, "x"], "option 'o[1]' must be a whole number, not 'x' (text)"),
    (dict[str, int], {"a": "b"}, "option 'o.a' must be a whole number, not 'b' (text)"),
    (bool | str, 3, "option 'o' must be true or false or text, not 3"),
    (str, "\ud800", "option 'o' cannot be read"),
    (str, object, "option 'o' is not plain data"),
]


@pytest.mark.parametrize(("kind", "value", "sentence"), BAD, ids=lambda v: ascii(v)[:40])
def test_bad_options(kind: Any, value: Any, sentence: str) -> None:
    checked, [problem] = check_options(signature(o=kind, fine=int), {"o": value, "fine": 1})
    assert problem.message == sentence
    assert problem.path[0] == "o"
    assert checked == {"fine": 1}


def test_every_problem_at_once() -> None:
    _, problems = check_options(signature(model=str, width=int, depth=int), {"modle": "x", "width": "y"})
    assert [(p.path, p.message) for p in problems] == [
        (("modle",), "has no option 'modle'; did you mean 'model'?"),
        ((), "needs option 'model' (text)"),
        ((), "needs option 'depth' (a whole number)"),
        (("width",), "option 'width' must be a whole number, not 'y' (text)"),
    ]


def test_paths_lead_to_the_value() -> None:
    _, [problem] = check_options(signature(betas=tuple[float, float]), {"betas": [1, "x"]})
    assert problem.path == ("betas", 1)


def test_arguments_are_tuples_where_asked() -> None:
    kinds = signature(a=tuple[float, float], b=list[tuple[int, int]], c=tuple[int, ...] | None)
    assert to_arguments(kinds, {"a": [1.0, 2.0], "b": [[1, 2]], "c": [1]}) == {
        "a": (1.0, 2.0),
        "b": [(1, 2)],
        "c": (1,),
    }


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tuple[int, str], "a list of 2: a whole number, text"),
        (list[str], "a list of texts"),
        (list[list[int]], "a list of lists of whole numbers"),
        (dict[str, int], "a mapping"),
        (None | int, "a whole number or null"),
    ],
)
def test_types_in_words(kind: Any, words: str) -> None:
    assert in_words(kind) == words

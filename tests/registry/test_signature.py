"""Signatures are read from source and say what importing would; options are checked with sentences."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

import pytest

from zoo.api import KINDS
from zoo.registry import REQUIRED, Entry, Option, Signature, TargetError, check_options, load_registry, to_arguments
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

    class Mute(Net): ...

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
        ("encoder", "Mute", ("channels", "size"), ()),
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
    "class f:\n    def forward(self, x): ...\n    def learn(self, x, *, y: int = 1): ...": "f.learn() has options",
    "class f:\n    def __init__(self, **o): ...\n    def forward(self, x): ...": "f.__init__() takes **o, so its",
    "class f:\n    def forward(self, x=1): ...": "parameter 'x' of f.forward() has a default but is positional",
    "def f(x, *args, **options): ...": "f() takes *args and **options, so its options cannot be known",
    "def f(a, b=1, c=2): ...": "parameter 'b' of f() has a default but is positional",
    "def f(*, x: 'Missing'): ...": "option 'x' of f() has type Missing, which is not plain",
    "def f(*, x: 'int +'): ...": "option 'x' of f() has type invalid syntax",
    "OTHER = 3\ndef f(*, x: OTHER): ...": "option 'x' of f() has type 3, which is not plain",
    "from typing import Final\nOTHER: Final = None\ndef f(*, x: 'OTHER | Gone'): ...": "'x' of f() has type Gone",
    "def f(*, x: 'int | 3'): ...": "option 'x' of f() has type 3, which is not plain",
    "from collections.abc import Sequence\ndef f(*, x: 'Sequence[int]'): ...": "has type Sequence[int], which is not",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_are_the_same_either_way(package: Callable[..., None], text: str) -> None:
    package(bad=text)
    for read in (static, live):
        with pytest.raises(TargetError) as caught:
            read("term", "f", "bad")
        assert REFUSED[text] in str(caught.value)


SPELT = {
    "'int'": "int",
    "list": "list",
    "typing.List[int]": "list[int]",
    "typing.Dict[str, float]": "dict[str, float]",
    "typing.Tuple[int, ...]": "tuple[int, ...]",
    "tuple[int, ...]": "tuple[int, ...]",
    "dict[str, int]": "dict[str, int]",
    "typing.Optional[int]": "int | None",
    "typing.Union[int, str, None]": "int | str | None",
    "'list[tuple[int, str]] | None'": "list[tuple[int, str]] | None",
    "None | bool": "None | bool",
    "None": "None",
    "typing.Literal['a', 2, None]": "Literal['a', 2, None]",
    "list[typing.Literal[1]]": "list[Literal[1]]",
    "Alias": "Literal['a'] | None",
    "Annotated": "dict[str, Literal['a'] | None]",
}


@pytest.mark.parametrize("annotation", SPELT)
def test_types_in_every_spelling(package: Callable[..., None], annotation: str) -> None:
    aliases = "import typing\nAlias = typing.Literal['a'] | None\nAnnotated: object = dict[str, Alias]\n"
    package(spelt=f"{aliases}def f(*, o: {annotation}): ...\n")
    [read], [imported] = static("data", "f", "spelt").options, live("data", "f", "spelt").options
    assert read.type_text == SPELT[annotation]
    assert (imported.name, imported.type_text, imported.default) == ("o", SPELT[annotation], REQUIRED)


def test_a_default_that_only_its_source_shows_is_no_literal(package: Callable[..., None]) -> None:
    package(
        made="""
        class Three:
            def __repr__(self):
                return "3"
        def f(*, x: int = int()): ...
        def g(*, x: float = float('nan')): ...
        def h(*, x: int = Three()): ...
        """
    )
    with pytest.raises(TargetError, match=r"^the default of option 'x' of f\(\) must be a literal$"):
        static("data", "f", "made")
    for name in "gh":
        with pytest.raises(TargetError, match=rf"^the default of option 'x' of {name}\(\) must be a literal$"):
            live("data", name, "made")
    assert live("data", "f", "made").options == (Option("x", int, "int", 0),)


def test_what_is_neither_a_class_nor_a_function() -> None:
    with pytest.raises(TargetError, match=r"^it is int, neither a class nor a function$"):
        from_object("data", 3)
    with pytest.raises(TargetError, match=r"^the parameters of partial\(\) cannot be read$"):
        from_object("data", partial(type))


def test_required_in_print() -> None:
    assert repr(REQUIRED) == "REQUIRED"


MEASURED = """
    class Base:
        computes = {"sample": ("z", "x")}
    class f(Base):
        def update(self, x, compute, *, y: int = 1): ...
"""


def test_what_a_metric_computes(package: Callable[..., None]) -> None:
    text = dedent(MEASURED).replace(", *, y: int = 1", "")
    package(sure=text, unsure=text.replace("computes =", "other ="), torn=text.replace('("z", "x")', '["z"]'))
    for read in (static, live):
        found = read("metric", "f", "sure")
        assert (found.needs, found.computes) == (("x",), {"sample": ("z", "x")})
        assert found.bindable == ("x", "sample", "z")
        for module in ("unsure", "torn"):
            with pytest.raises(TargetError) as caught:
                read("metric", "f", module)
            assert str(caught.value) == (
                "f.update() asks for compute, and the class does not say what it computes; "
                'add computes = {"sample": ("z",)} for samples of other codes'
            )


def test_what_a_recipe_may_bind(package: Callable[..., None]) -> None:
    package(learner="class f:\n    def forward(self, x, z): ...\n    def learn(self, z, draw): ...\n")
    for read in (static, live):
        found = read("term", "f", "learner")
        assert (found.needs, found.learn, found.bindable) == (("x", "z"), ("z", "draw"), ("x", "z", "draw"))
        assert read("value", "f", "learner").learn is None


def test_what_a_constructor_says_of_its_options(package: Callable[..., None]) -> None:
    package(
        told="""
        class Net:
            '''A net.

            Args:
                width: of the class.
            '''

            def __init__(self, channels, *, width: int = 1, depth: int = 2):
                '''Makes one.

                Args:
                    width: of the constructor.
                    depth: how deep.
                '''

            def forward(self, x): ...
        """
    )
    for kind in ("encoder", "term"):
        read, imported = static(kind, "Net", "told"), live(kind, "Net", "told")
        assert [option.doc for option in read.options] == ["of the class.", "how deep."]
        assert read == imported
        assert (Path(read.file).name, read.line, imported.line) == ("told.py", 2, 2)


def test_the_place_of_what_was_imported(package: Callable[..., None]) -> None:
    package(placed="import functools\n\ndef g(x): ...\nf = functools.partial(g)\nh = functools.lru_cache(g)\n")
    for name in ("g", "f", "h"):
        found = live("data", name, "placed")
        assert (Path(found.file).name, found.line) == ("placed.py", 3)


MADE = "def __init__(self, x, *, y: int = 1): ..."
HEIRS = "".join(f"class C{i + 1}(C{i}): ...\n" for i in range(5))
IMPORTED = {
    "assigned": "import functools\ndef g(x, *, y: int = 1): ...\nf = functools.partial(g)",
    "decorated": "def d(g):\n    return g\n@d\ndef f(x, *, y: int = 1): ...",
    "base from elsewhere": f"import abc, json\nclass f(json.JSONEncoder, abc.ABC):\n    {MADE}",
    "generated": "exec('def f(x, *, y: int = 1): ...')",
    "metaclass": f"import abc\nclass f(metaclass=abc.ABCMeta):\n    {MADE}",
    "decorated class": f"def d(c):\n    return c\n@d\nclass f:\n    {MADE}",
    "__new__": "class f:\n    def __new__(cls, x, *, y: int = 1): ...\n",
    "base that is a function": f"def d(*_):\n    return object\nclass f(d()):\n    {MADE}",
    "base that is made": f"B = type('B', (), {{}})\nclass f(B):\n    {MADE}",
    "method that is made": "def made(self, x, *, y: int = 1): ...\nclass f:\n    __init__ = made",
    "many bases": f"class C0:\n    {MADE}\n{HEIRS}class f(C5): ...",
}


def test_what_has_no_source_is_imported() -> None:
    assert read_signature("value", "math:sqrt", lambda: math.sqrt).needs == ("x",)
    assert read_signature("value", "nowhere_at_all.parts:f", lambda: math.sqrt).needs == ("x",)


class Imported(Exception):
    """Stands for the import, where the source does not say enough."""


def imports() -> Any:
    raise Imported


UNCLEAR = {
    "a syntax error": "def f(:\n",
    "a base that is a function": "def d(): ...\nclass f(d): ...\n",
    "a base from elsewhere": "from collections import UserString\nclass f(UserString): ...\n",
    "a base of a base from elsewhere": "import collections\nclass g(collections.UserString): ...\nclass f(g): ...\n",
    "nothing of that name": "def g(x): ...\n",
    "no def": "f = 3\n",
    "a name that is imported from elsewhere": "from math import sqrt as f\n",
    "a circle of imports": "from .odd import f\n",
    "a NUL": "def f(x): ...\n\0",
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_the_source_does_not_say_plainly(package: Callable[..., None], case: str) -> None:
    package(odd=UNCLEAR[case])
    with pytest.raises(Imported):
        read_signature("encoder", "sigpkg.odd:f", imports)


COMPUTING = "    def update(self, x, compute): ...\n"
PLAIN = {
    "its own": f"class f:\n    computes = {{'sample': ('z',)}}\n{COMPUTING}",
    "the last": f"class f:\n    computes = 3\n    computes: dict = {{'sample': ('z',)}}\n    other = 1\n{COMPUTING}",
    "a base's": f"class g:\n    computes = {{'sample': ('z',)}}\nclass h: ...\nclass f(h, g):\n{COMPUTING}",
    "a distant base's": "class C0:\n    computes = {'sample': ('z',)}\n"
    + "".join(f"class C{i + 1}(C{i}): ...\n" for i in range(3))
    + f"class f(C3):\n{COMPUTING}",
}
MADE_UP = {
    "made": f"class f:\n    computes = dict(sample=('z',))\n{COMPUTING}",
    "too far": "class C0:\n    computes = {'sample': ('z',)}\n"
    + "".join(f"class C{i + 1}(C{i}): ...\n" for i in range(4))
    + f"class f(C4):\n    def __init__(self): ...\n{COMPUTING}",
}


@pytest.mark.parametrize("case", [*PLAIN, *MADE_UP])
def test_what_a_metric_computes_is_a_literal_or_imported(package: Callable[..., None], case: str) -> None:
    package(odd={**PLAIN, **MADE_UP}[case])
    if case in PLAIN:
        assert static("metric", "f", "odd").computes == {"sample": ("z",)}
    else:
        with pytest.raises(Imported):
            read_signature("metric", "sigpkg.odd:f", imports)
        assert live("metric", "f", "odd").computes == {"sample": ("z",)}


@pytest.mark.parametrize("base", ["nn.Module", "torch.nn.Module", "Module", "object", "ABC", "abc.ABC", "Protocol",
                                  "Generic[T]", "Protocol[T]"])  # fmt: skip
def test_bases_that_say_nothing(package: Callable[..., None], base: str) -> None:
    package(odd=f"class f({base}):\n    def forward(self, x): ...\n")
    assert static("value", "f", "odd").needs == ("x",)


@pytest.mark.parametrize("name", ["no_grad()", "torch.no_grad()", "functools.cache", "lru_cache(None)", "final"])
def test_decorators_that_leave_a_signature_as_it_is(package: Callable[..., None], name: str) -> None:
    package(odd=f"@{name}\ndef f(x): ...\n", worse=f"@{name}\n@other\ndef f(x): ...\n")
    assert static("value", "f", "odd").needs == ("x",)
    with pytest.raises(Imported):
        read_signature("value", "sigpkg.worse:f", imports)


def test_the_last_of_several_definitions_counts(package: Callable[..., None]) -> None:
    package(
        odd="""
        from .nets import cached as f
        def f(a): ...
        def f(b): ...
        class g:
            def forward(self, a): ...
            def forward(self, b): ...
        if True:
            def f(c): ...
        """
    )
    assert (static("value", "f", "odd").needs, static("value", "g", "odd").needs) == (("b",), ("b",))
    assert static("value", "f", "odd").line == 4


def test_re_exports_are_followed_five_times(package: Callable[..., None]) -> None:
    chain = {f"m{i}": f"from .m{i - 1} import f\n" for i in range(1, 7)}
    package(m0="def f(x): ...\n", **chain)
    assert static("value", "f", "m5").needs == ("x",)
    with pytest.raises(Imported):
        read_signature("value", "sigpkg.m6:f", imports)


def test_the_types_of_what_is_asked_for_are_as_written(package: Callable[..., None]) -> None:
    text = "class {}:\n    def __init__(self, channels, latent: {}): ...\n"
    shapes = ["int", "tuple[int, ...]", "int | tuple[int, ...]", "'tuple[int, ...]'"]
    package(asks="".join(text.format(f"Net{i}", shape) for i, shape in enumerate(shapes)))
    read = [static("decoder", f"Net{i}", "asks").annotations for i in range(len(shapes))]
    assert read == [{"latent": shape.strip("'")} for shape in shapes]
    assert [live("decoder", f"Net{i}", "asks").annotations for i in range(len(shapes))] == read


@pytest.mark.parametrize("case", IMPORTED)
def test_what_the_source_does_not_say_is_imported(package: Callable[..., None], case: str) -> None:
    package(odd=IMPORTED[case])
    load = lambda: __import__("sigpkg.odd", fromlist=["x"]).f  # noqa: E731
    signature = read_signature("encoder", "sigpkg.odd:f", load)
    assert signature.needs == ("x",)
    assert signature.options == (Option("y", int, "int", 1),)


def first_party(kind: str) -> list[Entry]:
    found = [e for e in load_registry().components(kind) if e.distribution == "generative-zoo"]
    assert found
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_source_and_import_agree(kind: str) -> None:
    for entry in first_party(kind):
        read = entry.signature
        imported = from_object(kind, entry.load())
        assert replace(imported, line=read.line, file=read.file) == read
        assert Path(imported.file).resolve() == Path(read.file).resolve()


@pytest.mark.parametrize("kind", KINDS)
def test_first_party_options_are_documented(kind: str) -> None:
    options = [(entry.name, option) for entry in first_party(kind) for option in entry.signature.options]
    assert [(name, option.name) for name, option in options if not option.doc] == []


@pytest.mark.parametrize("kind", KINDS)
def test_first_party_defaults_are_valid_options(kind: str) -> None:
    for entry in first_party(kind):
        defaults, _ = check_options(entry.signature, {})
        assert check_options(entry.signature, defaults)[0] == defaults, entry.id


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


def test_a_list_without_a_type_inside_and_defaults_that_are_mappings() -> None:
    options = (Option("o", list, "", REQUIRED), Option("d", dict[str, float], "", {"a": 1}), Option("t", str, "", (1,)))
    kinds = Signature((), options, "", "", 0)
    assert check_options(kinds, {"o": [1, [2]]}) == ({"o": [1, [2]], "d": {"a": 1}, "t": [1]}, [])
    assert to_arguments(kinds, {"o": [1, [2]], "d": {"a": 1}}) == {"o": [1, [2]], "d": {"a": 1}}
    assert to_arguments(signature(o=int | dict[str, int]), {"o": [1]}) == {"o": [1]}
    assert to_arguments(signature(o=tuple[int, int]), {"o": [1, 2, 3]}) == {"o": (1, 2, 3)}


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
        (None, "null"),
        (list, "a list"),
        (tuple, "a list"),
        (dict, "a mapping"),
        (tuple[int, ...], "a list of whole numbers"),
        (tuple[bool, bool], "a list of 2 true or false"),
        (Literal["a"], "'a'"),
        (Literal["a", None], "one of 'a', null"),
        (list[Literal["a", "b"]], "a list of items, each one of 'a', 'b'"),
        (list[dict[str, int]], "a list of items, each a mapping"),
        (str | None | int, "text or a whole number or null"),
    ],
)
def test_types_in_words(kind: Any, words: str) -> None:
    assert in_words(kind) == words


def test_an_option_may_change_where_it_is_handed_anew(package: Callable[..., None]) -> None:
    package(
        changing="""
        from zoo import api
        from zoo.api import Scheduled

        def term(x, *, a: api.Scheduled = 1.0, b: Scheduled = 0, pair: tuple[api.Scheduled, float] = (0.5, 1.0)): ...

        class Module:
            def __init__(self, *, a: api.Scheduled = 1.0): ...

            def forward(self, x): ...
        """
    )
    for read in (static, live):
        options = read("term", "term", "changing").options
        assert [option.type_text for option in options] == ["Scheduled", "Scheduled", "tuple[Scheduled, float]"]
        with pytest.raises(TargetError, match=r"^option 'a' of Module is Scheduled, and a class is given"):
            read("term", "Module", "changing")
    with pytest.raises(TargetError, match=r"^option 'a' is Scheduled; those of term, value, opt.* of no data"):
        static("data", "term", "changing")
    signature = static("term", "term", "changing")
    checked, problems = check_options(signature, {})
    assert (checked, problems) == ({"a": 1.0, "b": 0.0, "pair": [0.5, 1.0]}, [])
    doubled = to_arguments(signature, checked, lambda said: 2 * said)
    assert doubled == {"a": 2.0, "b": 0.0, "pair": (1.0, 1.0)}

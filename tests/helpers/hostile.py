"""Documents made to hurt: twenty-nine families, each at random sizes; run as a program, ``load_recipe`` reads them.

``python hostile.py COUNT`` prints a line of JSON for each document (its family, CPU seconds, what was said,
the traceback if there was one), then one with the bytes by which the peak of memory grew.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

RECIPE = "extends: avae\ndata: {size: 8}\nslots: {encoder: {width: 4}}\nphases: [{encoder + decoder: {kl: 1.0}}]\n"


def _aliases(choose: random.Random, many: int) -> str:
    width = choose.choice([2, 9, 50])
    levels = (f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]\n" for i in range(1, min(many, 60)))
    return f"a0: &a0 {choose.choice(['[x]', '{x: 1}', 'x'])}\n{''.join(levels)}"


def _deep(choose: random.Random, many: int) -> str:
    opener = choose.choice(["[", "{", "- ", "? ", "{a: ", "[{", "- - ", "[? ", "!x [", "&a [", "? - "])
    return f"extends: avae\nslots: {opener * many}{choose.choice(['', ']', '}', ': 1']) * many}"


def _indented(choose: random.Random, many: int) -> str:
    return "\n".join(f"{' ' * i}{choose.choice('kxé')}{i}:" for i in range(min(many, 700)))


def _scalar(choose: random.Random, many: int) -> str:
    letter = choose.choice("x9 #\"'\\-:&*!\n\té0\U0001f600")
    key, quote = choose.choice(["name", "latent", "seed", "k"]), choose.choice(["", "|", ">", '"'])
    return f"{RECIPE}{key}: {quote}{letter * many}"


def _keys(choose: random.Random, many: int) -> str:
    below = choose.choice(["", "slots:\n", "values:\n", "outputs:\n", "train:\n", "evaluate:\n", "phases:\n - rows:\n"])
    indent = "   " if below else ""
    value = choose.choice(["1", "{}", "x", "dcgan", "{use: y}", "[]", ""])
    return f"extends: avae\n{below}" + "".join(f"{indent}k{i}: {value}\n" for i in range(many // 5))


def _repeated(choose: random.Random, many: int) -> str:
    return "extends: avae\n" + "".join(f"latent{' ' * choose.randrange(3)}: {i}\n" for i in range(many // 5))


def _long_key(choose: random.Random, many: int) -> str:
    return f"{RECIPE}{choose.choice(['? ', '', chr(34)])}{choose.choice('k1é ') * many}: 1\n"


def _rows(choose: random.Random, many: int) -> str:
    players = choose.choice([" + ", ".", "+", ", "]).join(["encoder"] * (many // 20 + 1))
    terms = ", ".join(f"t{i}: {{use: kl, weight: {i}}}" for i in range(min(many, 600)))
    return f"extends: avae\nphases:\n  - ? {players}\n    : {{{terms}}}\n"


def _phases(choose: random.Random, many: int) -> str:
    phase = choose.choice(["{encoder: {kl: 1}}", "{}", "x", "[]", "{encodr: {kl: 1}}", "{rows: {}}"])
    return f"extends: avae\nphases: [{', '.join([phase] * (many // 10))}]\n"


def _values(_: random.Random, many: int) -> str:
    """A chain of values, each bound to the next: as long as budgets let it be."""
    links = "".join(f"  v{i}: {{use: z_posterior, with: {{posterior: v{i + 1}}}}}\n" for i in range(min(many, 1200)))
    return f"extends: avae\nvalues:\n{links}"


def _bytes(choose: random.Random, many: int) -> bytes:
    return choose.randbytes(min(many, 50_000))


def _encoded(choose: random.Random, many: int) -> bytes:
    name = choose.choice(["utf-16", "utf-32", "utf-16-be", "utf-32-le", "utf-7", "cp500", "latin-1", "utf-8-sig"])
    return (RECIPE + "name: é\n").encode(name) * min(many // 5, 50)


def _surrogates(choose: random.Random, many: int) -> bytes:
    return f"{RECIPE}name: {chr(choose.randrange(0xD800, 0xE000)) * many}".encode("utf-8", "surrogatepass")


def _nulls(choose: random.Random, many: int) -> bytes:
    at = choose.randrange(len(RECIPE))
    return (RECIPE[:at] + "\0" * many + RECIPE[at:]).encode()


def _control(choose: random.Random, many: int) -> str:
    codes = [*range(1, 32), 127, 0x85, 0x200B, 0x202E, 0x2028, 0xFEFF]
    return f"{RECIPE}name: {''.join(map(chr, choose.choices(codes, k=min(many, 99))))}"


def _escapes(choose: random.Random, many: int) -> str:
    escape = choose.choice(["\\0", "\\n", "\\x1b[31m", "\\u202e", "\\ud800", "\\U0010ffff", "\\e", "\\/"])
    return f'{RECIPE}{choose.choice(["name", "evaluate", escape])}: "{escape * min(many, 3000)}"\n'


def _numbers(choose: random.Random, many: int) -> str:
    digits = "9" * many
    numbers = [digits, f"-{digits}", f"0x{'f' * many}", f"0o{'7' * many}", f"1e{digits}", "1e999999", f".{digits}"]
    key = choose.choice(["latent", "seed", "noise", "train: {steps", "slots: {encoder: {width", "data: {size"])
    return f"extends: avae\n{key}: {choose.choice(numbers)}{'}' * key.count('{')}\n"


def _odd_scalars(choose: random.Random, _: int) -> str:
    odd = ["2001-12-14t21:59:43.10-05:00", "190:20:30", "0b1010", "1_000", ".inf", "-.INF", ".nan", "~", "=", "<<"]
    key = choose.choice(["latent", "name", "batch_stats", "train: {ema", "extends", "phases", "slots", "evaluate"])
    return f"data: photos\n{key}: {choose.choice(odd)}{'}' * key.count('{')}\n"


def _tags(choose: random.Random, many: int) -> str:
    tags = ["!!python/object/apply:os.system [ls]", "!!binary aGk=", "!!timestamp 2001-12-14", "!!set {a}", "!x y"]
    return f"{RECIPE}" + "".join(f"k{i}: {choose.choice(tags)}\n" for i in range(min(many, 5000)))


def _directives(choose: random.Random, many: int) -> str:
    line = choose.choice(["%TAG !a{}! tag:{}\n", "%YAML 1.{}\n", "%FOO {}\n", "%YAML {}.1\n", "%\n"])
    return "".join(line.format(i, i) for i in range(many // 5)) + f"---\n{RECIPE}"


def _documents(choose: random.Random, many: int) -> str:
    return choose.choice([f"---\n{RECIPE}", f"{RECIPE}...\n", f"{RECIPE}---\n", "---\n"]) * (many // 20 + 2)


def _anchors(choose: random.Random, many: int) -> str:
    recursive = ["&a [*a]", "&a {k: *a}", "*a", "&a &b x", "{k: &a 1, l: *a, m: *b}", "&a {<<: *a}"]
    return "extends: avae\n" + "".join(f"k{i}: {choose.choice(recursive)}\n" for i in range(min(many, 5000)))


def _merge_keys(choose: random.Random, many: int) -> str:
    return f"a: &a {{b: 1}}\nslots: {{{', '.join(['<<: *a'] * (many // 10))}}}\n{choose.choice(['', RECIPE])}"


def _tabs(choose: random.Random, many: int) -> str:
    return RECIPE.replace(choose.choice([" ", "\n", ": "]), choose.choice(["\t", " \t", "\n\t"])) * (many // 50 + 1)


def _look_alikes(choose: random.Random, _: int) -> str:
    alike = {"a": "а", "e": "е", "o": "о", "x": "х", "l": "ⅼ", "1": "１", ":": "：", " ": "\u00a0"}  # noqa: RUF001
    letter = choose.choice(sorted(alike))
    return RECIPE.replace(letter, alike[letter], choose.choice([1, 2, -1]))


def _extends(choose: random.Random, many: int) -> str:
    names = ["a/" * many, "../" * many + "x", "x" * many, "\\0" * many, "/dev/zero", "/proc/self/mem", "/", "."]
    return f'extends: "{choose.choice(names)}"\n'


def _lines(choose: random.Random, many: int) -> str:
    return choose.choice(["\n", "#\n", "\r", "\r\n", " \n", "# é\n"]) * many + choose.choice([RECIPE, "", "["])


def _commas(choose: random.Random, many: int) -> str:
    return f"extends: avae\nevaluate: [{choose.choice(['*b, ', ', ', 'mse, ', '{mse: {}}, ', 'é, ', '[], ']) * many}]"


def _quotes(choose: random.Random, many: int) -> str:
    opened = choose.choice(["a: ", "'", '"', "`", "@", "|", ">-"])
    return f"{RECIPE}{choose.choice(['name: ', ''])}{opened * many}"


FAMILIES: list[Callable[[random.Random, int], str | bytes]] = [
    *(_aliases, _deep, _indented, _scalar, _keys, _repeated, _long_key, _rows, _phases, _values, _bytes, _encoded),
    *(_surrogates, _nulls, _control, _escapes, _numbers, _odd_scalars, _tags, _directives, _documents, _anchors),
    *(_merge_keys, _tabs, _look_alikes, _extends, _lines, _commas, _quotes),
]


def document(number: int) -> tuple[str, bytes]:
    """The family and the bytes of a document."""
    choose, family = random.Random(number), FAMILIES[number % len(FAMILIES)]
    content = family(choose, choose.choice([10, 1_000, 100_000, 400_000]))
    encoded = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return family.__name__.strip("_"), encoded


def attempt(number: int, file: Path) -> dict[str, object]:
    """What reading a document comes to."""
    from zoo.errors import RequestError
    from zoo.recipe import load_recipe

    family, content = document(number)
    file.write_bytes(content)
    begin, said, crash = time.process_time(), "", ""
    try:
        load_recipe(file)
    except RequestError as error:
        said = str(error)
    except Exception:  # noqa: BLE001 - what the test looks for
        crash = traceback.format_exc()
    return {"number": number, "family": family, "seconds": time.process_time() - begin, "said": said, "crash": crash}


def main(count: int) -> None:
    """Reads so many documents, in this directory."""
    file = Path("hostile.yaml")
    attempt(len(FAMILIES) - 1, file)  # what is imported once is no document's doing
    largest = max(len(document(number)[1]) for number in range(count))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        print(json.dumps(attempt(number, file)))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(json.dumps({"grown": grown, "largest": largest}))


if __name__ == "__main__":
    main(int(sys.argv[1]))

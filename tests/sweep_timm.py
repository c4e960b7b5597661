"""Try every model of timm as an encoder and as a critic, without weights or memory (the meta device).

    python tests/sweep_timm.py [--size native|32] [--limit N] [--every N] [--family F] [--to docs/timm.md]

The constructors of the plugin run two images through the network before they return, so to assemble here is
to have run forward. Native: each model at the size it was made for; 32: convolutional models at 32 pixels.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]
SECONDS = 120
PROCESSES = 2


def models(size: str, family: str | None, limit: int | None, every: int) -> list[tuple[str, str, int]]:
    """(family, model, image side) of each model to try."""
    import timm
    from timm.models import get_pretrained_cfg, model_entrypoint

    found = []
    for name in timm.list_models():
        cfg = get_pretrained_cfg(name, allow_unregistered=True)
        of = model_entrypoint(name).__module__.rpartition(".")[2]
        if family in (None, of) and (size == "native" or _convolutional(cfg)):
            found.append((of, name, cfg.input_size[-1] if size == "native" else int(size)))
    return found[::every][:limit]


def _convolutional(cfg) -> bool:
    """Whether a model is free in its image size and its first layer does not cut patches."""
    first = cfg.first_conv if isinstance(cfg.first_conv, str) else (cfg.first_conv or [""])[0]
    return bool(first) and not cfg.fixed_input_size and not first.endswith("proj")


def tried(name: str, size: int) -> dict[str, str]:
    """The reason why a part cannot be assembled, by part; empty when both can."""
    import torch
    from zoo_timm.critic import Critic
    from zoo_timm.encoder import Encoder

    refused = {}
    for part, make in (
        ("encoder", lambda: Encoder(3, size, 64, model=name)),
        ("critic", lambda: Critic(3, size, model=name)),
    ):
        try:
            with torch.device("meta"):
                make()
        except Exception as error:  # noqa: BLE001  (a sweep reports whatever comes)
            known = isinstance(error, ValueError) and str(error).startswith("timm model")
            refused[part] = str(error) if known else f"CRASH {type(error).__name__}: {error}"
    return refused


def work(share: int, args: argparse.Namespace) -> None:
    """Try every second model and print one JSON line for each."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # a thousand models' own warnings are not this table's business

    def late(*_: object) -> None:
        raise TimeoutError(f"not done in {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    for family, name, size in models(args.size, args.family, args.limit, args.every)[share::PROCESSES]:
        signal.alarm(SECONDS)
        refused = tried(name, size)
        signal.alarm(0)
        print(json.dumps({"family": family, "model": name, "size": size, "refused": refused}), flush=True)


def table(results: list[dict], args: argparse.Namespace) -> str:
    """The page: totals, a row a family, refusals."""
    import timm

    families = defaultdict(list)
    for result in results:
        families[result["family"]].append(result)
    assembled = {p: sum(p not in r["refused"] for r in results) for p in ("encoder", "critic")}
    of = max(1, len(results))
    lines = [
        f"## {'At their own size' if args.size == 'native' else f'Convolutional models at {args.size} px'}",
        "",
    ]
    lines += [
        f"{datetime.date.today()}, timm {timm.__version__}, `{command(args)}`: {len(results)} models.",
        "",
    ]
    lines += [f"Assembled as {p}: {n} ({100 * n / of:.1f} %)." + "  " for p, n in assembled.items()]
    lines += ["", "| family | models | encoder | critic |", "|---|---|---|---|"]
    for family, rows in sorted(families.items()):
        counts = [sum(p not in r["refused"] for r in rows) for p in ("encoder", "critic")]
        lines.append(f"| {family} | {len(rows)} | {counts[0]} | {counts[1]} |")
    refusals = [r for r in results if r["refused"]]
    lines += ["", f"Refused: {len(refusals)}.", ""]
    for result in sorted(refusals, key=lambda r: r["model"]):
        reason = next(iter(result["refused"].values())).split("images: ")[-1].split("; ")[0]
        lines.append(f"- {result['model']} ({' and '.join(result['refused'])}, {result['size']} px): {reason}")
    return "\n".join(lines) + "\n"


def command(args: argparse.Namespace) -> str:
    """The command line that makes this table again."""
    parts = ["python tests/sweep_timm.py", f"--size {args.size}"]
    parts += [f"--family {args.family}"] * bool(args.family) + [f"--limit {args.limit}"] * bool(args.limit)
    parts += [f"--every {args.every}"] * (args.every > 1)
    return " ".join(parts)


def main() -> None:
    """Fan out to two processes, gather, print and perhaps write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="native", help="native, or pixels for convolutional models")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--every", type=int, default=1, help="only every Nth model")
    parser.add_argument("--family", help="a module of timm.models, such as resnet")
    parser.add_argument("--to", type=Path, help="also append the table to this file")
    parser.add_argument("--share", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.share is not None:
        return work(args.share, args)
    argv = [sys.executable, __file__, *sys.argv[1:], "--share"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    lines = []
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(PROCESSES)]
        shares = [subprocess.Popen([*argv, str(i)], stdout=f, env=env) for i, f in enumerate(files)]
        for share, file in zip(shares, files, strict=True):
            if share.wait():
                raise SystemExit("a process of the sweep died: see above")
            file.seek(0)
            lines += file.readlines()
    page = table([json.loads(line) for line in lines], args)
    print(page)
    if args.to:
        before = args.to.read_text() if args.to.exists() else "# timm models as parts\n"
        args.to.write_text(f"{before}\n{page}")
    return None


if __name__ == "__main__":
    main()

"""An HTML document that stands alone: its policy lets nothing in but what is in it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

HERE = Path(__file__).parent
STYLE, SCRIPT = (HERE / "page.css").read_text("utf-8"), (HERE / "page.js").read_text("utf-8")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page; its ``style`` comes after the rules of every page, its one ``script`` may run by its hash."""
    allowed, code = "", ""
    if script:
        digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed, code = f"; script-src 'sha256-{digest}'", f"<script>{script}</script>"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}{allowed}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{STYLE}{style}</style></head>\n"
        f"<body><main>{body}</main>{code}</body></html>\n"
    )


def section(title: str, content: str, style: str = "") -> str:
    """A heading of a few plain words that can be linked to, and the HTML under it; nothing if that is nothing.

    ``style`` is the class of what is under the heading.
    """
    where = title.lower().replace(" ", "-")
    return f'<section id="{where}"><h2>{title}</h2><div class="{style}">{content}</div></section>' if content else ""

"""A headless Chromium, driven over a pipe by its DevTools protocol: what a reader's browser makes of a page."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser; None where there is none."""
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions")
FLAGS += ("--hide-scrollbars", "--remote-debugging-pipe")
PIPED = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null'
"""The browser reads commands from file 3 and answers into file 4, messages ended by a zero byte."""
PATIENCE = 60.0
"""Seconds for one answer."""

STATE = """JSON.stringify({
  images: document.images.length,
  blank: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt),
  unnamed: [...document.images].filter(i => !i.alt).length,
  over: document.documentElement.scrollWidth - innerWidth,
  wide: [...document.body.querySelectorAll("*")].filter(e => {
    const at = e.getBoundingClientRect();
    if (at.right <= innerWidth + .5 && at.left >= -.5 || !at.width) return false;
    for (let p = e; p; p = p.parentElement) if (getComputedStyle(p).overflowX != "visible") return false;
    return true;
  }).map(e => e.tagName + "." + e.getAttribute("class")).slice(0, 5),
  ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor})"""


@dataclass(frozen=True)
class Seen:
    """A page as the browser has it.

    Args:
        console: what was logged, warned of or thrown, and what the page's policy refused.
        requests: addresses that were asked for, beside the page itself and what is inside it.
        state: what ``STATE`` finds: images, those not drawn, what is wider than the window.
    """

    console: list[str]
    requests: list[str]
    state: dict[str, Any]


class Chromium:
    """A browser with one empty profile and one tab; ``with`` closes it and removes the profile."""

    def __enter__(self) -> Chromium:
        assert BINARY
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        command = ["sh", "-c", PIPED, "sh", BINARY, *FLAGS, f"--user-data-dir={self._profile.name}"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0)
        self._number, self._rest, self._session, self._events = 0, b"", "", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        self._process.wait()
        self._profile.cleanup()

    def look(self, page: Path, *, width: int, dark: bool = False) -> Seen:
        """Opens a page in a window of a width, in a light or dark system, and waits until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._events: list[dict[str, Any]] = []
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._message())
        state = json.loads(self.run(STATE))
        asked = [event["params"]["request"]["url"] for event in self._of("Network.requestWillBeSent")]
        outside = [url for url in asked if url != page.resolve().as_uri() and not url.startswith("data:")]
        return Seen(self.console(), outside, state)

    def console(self) -> list[str]:
        """What was said since the page was opened."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for kind in kinds for event in self._of(kind)]

    def run(self, script: str) -> Any:
        """What a script comes to in the page."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def point(self, x: float, y: float) -> None:
        """Moves the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, file: Path) -> None:
        """The whole page as a PNG file."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command and its answer; events that come before it are kept."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        command |= {"sessionId": self._session} if self._session else {}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self._events.append(message)

    def _message(self) -> dict[str, Any]:
        assert self._process.stdout
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(end - time.monotonic(), 0))
            assert ready, f"Chromium gave no answer in {PATIENCE:.0f} s"
            read = os.read(self._process.stdout.fileno(), 1 << 20)
            assert read, f"Chromium ended with status {self._process.wait()}"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def _of(self, method: str) -> list[dict[str, Any]]:
        return [event for event in self._events if event.get("method") == method]

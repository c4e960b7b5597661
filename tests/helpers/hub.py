"""A server on this machine that speaks as the Hugging Face hub does: models made, pushed to, listed and fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

TOKEN = "hf_of_this_test"


class Hub:
    """Models by name, each a mapping of paths to contents.

    Attributes:
        address: where it listens.
        refused: the errors of model cards that it was shown.
    """

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.objects: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.address = ""

    def commit(self, name: str) -> str:
        """A model's commit: another whenever a file is."""
        return hashlib.sha1(repr(sorted(self.models[name].items())).encode()).hexdigest()

    def env(self, folder: Path) -> dict[str, str]:
        """What a process needs in order to meet this hub and no other; it keeps what it fetches in a folder."""
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        here = {"HF_ENDPOINT": self.address, "HF_HOME": str(folder / "hf"), "ZOO_CACHE": str(folder / "cache")}
        return {**quiet, **here, "HF_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1"}

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content."""
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+|/tree/[^/]+)?", path):
            name, files = found[1], self.models.get(found[1])
            if files is None:
                return 404, {"X-Error-Code": "RepoNotFound"}, b""
            listed = [
                {"type": "file", "path": p, "rfilename": p, "size": len(c), "oid": "0" * 40} for p, c in files.items()
            ]
            info = {
                "id": name,
                "modelId": name,
                "sha": self.commit(name),
                "private": False,
                "tags": [],
                "siblings": listed,
            }
            return 200, {}, json.dumps(listed if "/tree/" in path else info).encode()
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            name, file = found[1], found[3]
            if file not in self.models.get(name, {}):
                return 404, {"X-Error-Code": "EntryNotFound" if name in self.models else "RepoNotFound"}, b""
            content = self.models[name][file]
            tag = hashlib.sha256(content).hexdigest()
            self.fetched.append(file)
            return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": self.commit(name)}, content
        return 404, {}, b""

    def post(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        if path == "/api/validate-yaml":
            card = yaml.safe_load(json.loads(body)["content"].split("---")[1])
            wrong = [] if isinstance(card["license"], str) and card["tags"] else [{"message": "no licence"}]
            return 200, {"errors": wrong, "warnings": []}
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.models:
                return 409, {"url": f"{self.address}/{name}"}
            self.models[name], self.private[name] = (
                {},
                asked.get("private", False) or asked.get("visibility") == "private",
            )
            return 200, {"url": f"{self.address}/{name}"}
        if found := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            modes = {".safetensors": "lfs", ".png": "lfs"}
            files = [
                {"path": f["path"], "uploadMode": modes.get(Path(f["path"]).suffix, "regular")}
                for f in json.loads(body)["files"]
            ]
            return 200, {"files": [{**file, "shouldIgnore": False} for file in files]}
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            upload = {
                "objects": [{**o, "actions": {"upload": {"href": f"{self.address}/lfs/{o['oid']}"}}} for o in objects]
            }
            return 200, {"transfer": "basic", **upload}
        if found := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            for line in map(json.loads, body.splitlines()):
                self._apply(self.models[found[1]], line["key"], line["value"])
            commit = self.commit(found[1])
            return 200, {"commitUrl": f"{self.address}/{found[1]}/commit/{commit}", "commitOid": commit}
        return 404, {}

    def _apply(self, files: dict[str, bytes], key: str, value: dict[str, Any]) -> None:
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            files[value["path"]] = self.objects[value["oid"]]
        elif key == "deletedFile":
            del files[value["path"]]


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub that listens on loopback."""
    served = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._send(*served.get(self.path.partition("?")[0]), silent=True)

        def do_GET(self) -> None:
            self._send(*served.get(self.path.partition("?")[0]))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                said = "Invalid username or password."
                return self._send(401, {"X-Error-Message": said}, json.dumps({"error": said}).encode())
            status, answer = served.post(self.path.partition("?")[0], body)
            return self._send(status, {"Content-Type": "application/json"}, json.dumps(answer).encode())

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            oid = self.path.rpartition("/")[2]
            right = hashlib.sha256(content).hexdigest() == oid
            served.objects |= {oid: content} if right else {}
            self._send(200 if right else 400, {}, b"")

        def _send(self, status: int, headers: dict[str, str], content: bytes, silent: bool = False) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if silent else content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served
        server.shutdown()

"""Pushing to a hub: a stub of its HTTP interface on loopback."""

import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.errors import AgrilapeError, DataError
from agrilape.io.hub import push_folder

SECRET = "hf_secretsecretsecret"


class Hub(BaseHTTPRequestHandler):
    """Accepts a repository, says that all files go into the commit, and keeps what is committed."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.path, self.headers.get("Authorization"), body))
        if self.server.status != 200:
            return self._answer(self.server.status, {"error": f"no, {self.headers.get('Authorization')}"})
        if "/preupload/" in self.path:
            files = [
                {**one, "uploadMode": "regular", "shouldIgnore": False} for one in json.loads(body)["files"]
            ]
            return self._answer(200, {"files": files})
        if "/commit/" in self.path:
            return self._answer(200, {"commitOid": "abc", "commitUrl": f"{self.server.url}/me/x/commit/abc"})
        return self._answer(200, {"url": f"{self.server.url}/me/x"})

    def do_GET(self):
        self._answer(self.server.status, {"id": "me/x", "sha": "0" * 40, "siblings": []})

    def _answer(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Be quiet."""


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requests, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def checkpoint(folder):
    for name in ("model.safetensors", "README.md", "resume/optimizer.safetensors", ".hidden"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")
    return folder


def committed(hub):
    (body,) = [body for path, _, body in hub.requests if "/commit/" in path]
    lines = [json.loads(line) for line in body.decode().splitlines()]
    return {
        line["value"]["path"]: base64.b64decode(line["value"]["content"]).decode()
        for line in lines
        if line["key"] == "file"
    }


def test_a_checkpoint_is_one_commit_without_what_only_training_needs(hub, tmp_path):
    url = push_folder(checkpoint(tmp_path), "me/x", endpoint=hub.url, token=SECRET)
    assert url.endswith("/commit/abc")
    assert committed(hub) == {
        "model.safetensors": "text of model.safetensors",
        "README.md": "text of README.md",
    }
    assert all(sent == f"Bearer {SECRET}" for path, sent, _ in hub.requests if path.startswith("/api/models"))


def test_a_published_data_set_goes_to_a_data_set_repository(hub, tmp_path):
    (tmp_path / "croissant.json").write_text("{}")
    push_folder(tmp_path, "me/x", endpoint=hub.url, token=SECRET)
    assert any(path.startswith("/api/datasets/me/x/commit/") for path, _, _ in hub.requests)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_has_a_remedy_and_tells_no_secret(hub, tmp_path, status, caplog):
    hub.status = status
    with pytest.raises(AgrilapeError, match=f"HTTP {status}") as refused:
        push_folder(checkpoint(tmp_path), "me/x", endpoint=hub.url, token=SECRET)
    assert refused.value.remedy
    assert refused.value.__suppress_context__
    assert SECRET not in f"{refused.value} {caplog.text}"


def test_what_is_nothing_to_push_is_refused_before_anything_is_sent(hub, tmp_path):
    with pytest.raises(DataError, match="neither a published data set nor weights"):
        push_folder(tmp_path, "me/x", endpoint=hub.url, token=SECRET)
    assert hub.requests == []


def test_a_name_that_is_none_says_how_to_write_it(hub, tmp_path):
    with pytest.raises(DataError, match="no name of a repository"):
        push_folder(checkpoint(tmp_path), "a/b/c", endpoint=hub.url, token=SECRET)


def test_a_run_is_pushed_as_its_last_stage_with_a_card_and_an_item(hub, tmp_path, monkeypatch):
    pytest.importorskip("pystac", reason="extra `cubes` is not installed")
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    for stage in ("1-align", "2-domain"):
        folder = tmp_path / "stages" / stage
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"model_type": "llava"}')
        (folder / "stage.json").write_text(json.dumps({"name": stage, "steps": 3}))
        save_file({"lm_head.weight": torch.zeros(2, 2)}, folder / "model.safetensors")
    said = CliRunner().invoke(app, ["push", str(tmp_path), "me/x", "--license", "mit"])
    assert said.exit_code == 0, said.output
    (body,) = [body for path, _, body in hub.requests if "/commit/" in path]
    sent = {line["value"]["path"] for line in map(json.loads, body.splitlines()) if line["key"] == "file"}
    assert sent == {"README.md", "stac-mlm.json", "config.json", "stage.json", "model.safetensors"}
    assert "license: mit" in (tmp_path / "stages" / "2-domain" / "README.md").read_text()

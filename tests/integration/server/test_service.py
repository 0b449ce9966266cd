"""The service, asked over loopback by the clients that people use."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import geopandas
import httpx
import openai
import pytest
from PIL import Image

from agrilape.errors import RecipeError
from agrilape.server.settings import ServerSettings, read_api_key

FIELDS = "where are the fields?"


def picture():
    stream = io.BytesIO()
    Image.effect_noise((128, 128), 60).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def message(text, data=None):
    url = f"data:image/png;base64,{base64.b64encode(data or picture()).decode()}"
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


def wait_for(base, job):
    for _ in range(600):
        found = httpx.get(f"{base}/v1/jobs/{job}").json()
        if found["status"] in ("done", "failed"):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def test_clients_of_openai_chat_about_an_image(serve):
    base, _ = serve()
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
    (model,) = client.models.list().data
    said = client.chat.completions.create(model=model.id, messages=message("Which field is at [0.5, 0.5]?"))
    text = said.choices[0].message.content
    corners = [float(number) for number in text.strip(" []").split(",")]
    assert len(corners) == 4
    assert all(0 <= corner <= 1 for corner in corners)
    pieces = client.chat.completions.create(
        model=model.id, messages=message("Which field is at [0.5, 0.5]?"), stream=True
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces).count(",") == 3
    for messages, status in (
        ([{"role": "user", "content": "no image"}], 422),
        (message("broken", b"no picture"), 422),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}]}], 422),
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            client.chat.completions.create(model=model.id, messages=messages)
        assert refused.value.status_code == status


def test_a_geotiff_and_a_question_give_geojson(serve, images, predictor):
    base, _ = serve()
    options = {"options": json.dumps({"min_confidence": 0})}
    named = httpx.post(
        f"{base}/v1/ask", data={"question": FIELDS, "image": "farm/june.tif", **options}, timeout=60
    )
    assert named.status_code == 200, named.text
    table = geopandas.GeoDataFrame.from_features(named.json()["features"], crs="EPSG:4326")
    expected = predictor.ask(images / "farm/june.tif", FIELDS, min_confidence=0)
    assert len(table) == len(expected) > 0
    assert named.json()["summary"] == expected.attrs["summary"]
    there = expected.to_crs("EPSG:4326").geometry.iloc[0]
    assert table.geometry.iloc[0].hausdorff_distance(there) < 1e-6
    with (images / "farm/june.tif").open("rb") as file:
        sent = httpx.post(
            f"{base}/v1/ask", data={"question": FIELDS, **options}, files={"file": file}, timeout=60
        )
    assert [one["geometry"] for one in sent.json()["features"]] == [
        one["geometry"] for one in named.json()["features"]
    ]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("link.tif", 404),
        ("out/secret.tif", 404),
        ("../secret.tif", 404),
        ("view.vrt", 404),
        ("nothing.tif", 404),
        ("/etc/passwd", 404),
        ("/vsicurl/http://127.0.0.1/a.tif", 404),
        ("upload-../x.tif", 404),
        ("broken.tif", 422),
        ("nowhere.tif", 422),
    ],
)
def test_nothing_but_images_of_the_folder_is_read(serve, name, status):
    base, service = serve()
    found = httpx.get(f"{base}/v1/images/info", params={"name": name})
    assert found.status_code == status
    assert "Traceback" not in found.text
    assert str(service.images.folder) not in found.text
    assert httpx.post(f"{base}/v1/ask", data={"question": FIELDS, "image": name}).status_code == status


def test_images_are_listed_described_and_shown(serve):
    base, _ = serve()
    assert httpx.get(f"{base}/v1/images").json() == [
        "broken.tif",
        "farm/june.tif",
        "nowhere.tif",
        "series.tif",
    ]
    info = httpx.get(f"{base}/v1/images/info", params={"name": "series.tif"}).json()
    assert info["dates"] == ["2022-04-01", "2022-06-01", "2022-08-01"]
    west, south, east, north = info["bounds"]
    x, y = _tile((west + east) / 2, (south + north) / 2, 15)
    tile = f"{base}/v1/images/tiles/15/{x}/{y}.png"
    shown = httpx.get(tile, params={"name": "series.tif", "composite": "ndvi", "frame": 1})
    assert shown.status_code == 200, shown.text
    assert Image.open(io.BytesIO(shown.content)).getextrema()[3] == (0, 255)
    assert httpx.get(tile, params={"name": "series.tif", "composite": "true_colour"}).status_code == 422
    away = httpx.get(f"{base}/v1/images/tiles/15/0/0.png", params={"name": "series.tif", "composite": "ndvi"})
    assert away.status_code == 204


def _tile(longitude, latitude, zoom):
    import math

    y = math.asinh(math.tan(math.radians(latitude)))
    return int((longitude + 180) / 360 * 2**zoom), int((1 - y / math.pi) / 2 * 2**zoom)


def test_a_job_tells_its_progress_and_keeps_its_answer(serve):
    base, _ = serve()
    request = {"image": "farm/june.tif", "question": FIELDS, "options": {"min_confidence": 0}}
    made = httpx.post(f"{base}/v1/jobs", json=request)
    assert made.status_code == 202
    job = made.json()["id"]
    kinds = []
    with httpx.stream("GET", f"{base}/v1/jobs/{job}/events", timeout=60) as events:
        for line in events.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
    assert kinds[-1] == "done"
    assert {"tile", "progress"} <= set(kinds)
    found = httpx.get(f"{base}/v1/jobs/{job}").json()
    assert found["progress"]["done"] == found["progress"]["total"] == kinds.count("tile")
    file = httpx.get(f"{base}/v1/jobs/{job}/answer.gpkg")
    assert len(geopandas.read_file(io.BytesIO(file.content))) == len(found["result"]["features"])
    assert len(found["result"]["features"]) > 0
    failed = httpx.post(f"{base}/v1/jobs", json={**request, "question": "sing a song"}).json()["id"]
    assert wait_for(base, failed)["status"] == "failed"
    assert httpx.post(f"{base}/v1/jobs", json={**request, "image": "nothing.tif"}).status_code == 404


def test_too_much_is_refused_with_its_reason(serve, images):
    base, _ = serve(largest_upload=10_000, most_pixels=5_000, most_jobs=0, most_waiting=0)
    big = httpx.post(f"{base}/v1/ask", data={"question": FIELDS}, files={"file": ("a.tif", b"x" * 20_000)})
    assert (big.status_code, "bytes" in big.text) == (413, True)
    streamed = httpx.post(f"{base}/v1/chat/completions", content=iter([b"x" * 6_000] * 3))
    assert streamed.status_code == 413
    ask = {"question": FIELDS, "image": "series.tif"}
    assert httpx.post(f"{base}/v1/ask", data=ask).status_code == 429
    job = httpx.post(f"{base}/v1/jobs", json=ask)
    assert (job.status_code, job.headers["retry-after"]) == (429, "1")
    base, _ = serve(most_pixels=4_000)
    pixels = httpx.post(f"{base}/v1/ask", data=ask)
    assert (pixels.status_code, "too large" in pixels.text) == (413, True)
    base, _ = serve(timeout_s=0.0)
    assert httpx.post(f"{base}/v1/ask", data=ask).status_code == 504


def test_requests_at_once_share_batches_and_a_bad_one_harms_no_other(serve):
    base, _ = serve(most_waiting=64)
    answers = [None] * 12

    def ask(number):
        text = "Which field is at [0.5, 0.5]?" if number % 4 else "?"
        data = picture() if number % 3 else b"broken"
        answers[number] = httpx.post(
            f"{base}/v1/chat/completions", json={"messages": message(text, data)}, timeout=60
        ).status_code

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(answers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [422 if number % 3 == 0 else 200 for number in range(len(answers))]
    text = httpx.get(f"{base}/metrics").text
    asked, batches = (
        float(next(line for line in text.splitlines() if line.startswith(name)).split()[1])
        for name in ("agrilape_batch_tiles_sum", "agrilape_batch_tiles_count")
    )
    assert asked == 8
    assert batches < asked


def test_strangers_and_pages_of_other_sites_are_refused(serve, tmp_path):
    base, _ = serve(api_key="a-key-of-some-length")
    assert httpx.get(f"{base}/v1/models").status_code == 401
    assert httpx.get(f"{base}/healthz").status_code == 200
    with_key = {"Authorization": "Bearer a-key-of-some-length"}
    assert httpx.get(f"{base}/v1/models", headers=with_key).status_code == 200
    elsewhere = httpx.get(f"{base}/v1/models", headers={**with_key, "Origin": "http://evil.example"})
    assert elsewhere.status_code == 403
    assert httpx.get(f"{base}/v1/models", headers={**with_key, "Host": "evil.example"}).status_code == 400
    with pytest.raises(RecipeError, match="anybody"):
        ServerSettings(tmp_path, host="0.0.0.0")
    (tmp_path / "key").write_text("short")
    with pytest.raises(RecipeError, match="no key"):
        read_api_key(tmp_path / "key")


def test_sigterm_ends_it_cleanly_and_a_restart_loses_no_job(serve, images, tmp_path):
    base, process = start(images, tmp_path / "state")
    jobs = [
        httpx.post(f"{base}/v1/jobs", json={"image": "farm/june.tif", "question": FIELDS}).json()["id"]
        for _ in range(4)
    ]
    with httpx.stream("GET", f"{base}/v1/jobs/{jobs[-1]}/events", timeout=60) as events:
        process.send_signal(signal.SIGTERM)
        events.read()  # the stream ends
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in process.stderr.read()
    base, _ = serve()
    assert {wait_for(base, job)["status"] for job in jobs} == {"done"}


def start(images, state):
    command = [sys.executable, "-m", "agrilape", "serve", "--images", images, "--port", "0", "--state", state]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    said = process.stdout.readline()
    assert "http://" in said, process.stderr.read()
    return said.split(" at ")[1].split("/ ")[0], process

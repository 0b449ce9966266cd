"""The page in a real browser: open an image, ask, see the answer on the right ground, take it along."""

import importlib.util
import json
import shutil

import geopandas
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-gl=angle", "--use-angle=swiftshader"]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="no playwright"),
]


@pytest.fixture
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


def open_page(browser, base, width, height):
    page = browser.new_page(viewport={"width": width, "height": height})
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.faults.append(said.text))
    own = (base, "data:", "blob:")
    page.on("request", lambda asked: asked.url.startswith(own) or page.faults.append(asked.url))
    page.goto(base)
    page.wait_for_selector("#image option:nth-child(2)", state="attached")
    return page


def status_of(page, text):
    until(page, f"document.getElementById('status').textContent.includes({text!r})")


def until(page, expression):
    """Wait for something of the page; asked from outside, since the page forbids `eval`."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never {expression}; it says {page.inner_text('#panel')}")


def test_an_image_is_opened_and_its_answer_taken_along(browser, serve, images, predictor, tmp_path):
    base, _ = serve()
    page = open_page(browser, base, 1280, 800)
    page.select_option("#image", "farm/june.tif")
    status_of(page, "192 × 192")
    until(page, "agrilape.map.areTilesLoaded()")
    page.fill("#question", "where are the fields?")
    page.press("#question", "Enter")
    status_of(page, "found in")
    expected = predictor.ask(images / "farm/june.tif", "where are the fields?", min_confidence=0)
    assert page.locator("#rows tr").count() == len(expected) > 0
    drawn = "agrilape.map.queryRenderedFeatures({layers: ['line']}).length"
    until(page, f"{drawn} > 0")
    with page.expect_download() as took:
        page.click("#geojson")
    took.value.save_as(tmp_path / "answer.geojson")
    ours = geopandas.read_file(tmp_path / "answer.geojson")
    assert ours.union_all().hausdorff_distance(expected.to_crs("EPSG:4326").union_all()) < 1e-6
    with page.expect_download() as took:
        page.click("#gpkg")
    took.value.save_as(tmp_path / "answer.gpkg")
    assert len(geopandas.read_file(tmp_path / "answer.gpkg")) == len(expected)
    page.screenshot(path=tmp_path / "map.png")
    page.locator("#threshold").fill("1")
    until(page, f"{drawn} === 0")
    assert page.locator("#rows tr").count() == int((expected["confidence"] >= 1).sum())
    assert page.faults == []


def test_a_place_is_clicked_and_a_question_about_it_chosen(browser, serve):
    base, _ = serve()
    page = open_page(browser, base, 1280, 800)
    page.select_option("#image", "farm/june.tif")
    status_of(page, "192 × 192")
    page.locator("#map canvas").click(position={"x": 400, "y": 380})
    place = page.evaluate("agrilape.state.place")
    page.click("text=Which field is here?")
    status_of(page, "1 found")
    (feature,) = json.loads(page.evaluate("JSON.stringify(agrilape.state.answers.features)"))
    field = geopandas.GeoDataFrame.from_features([feature], crs="EPSG:4326")
    assert field.distance(geopandas.points_from_xy([place[0]], [place[1]])[0]).iloc[0] < 0.0015
    page.fill("#question", "sing a song about it")
    page.press("#question", "Enter")
    page.wait_for_selector("#error:not([hidden])")
    assert "→" in page.inner_text("#error")
    assert page.is_enabled("#send")


def test_it_works_on_a_phone_with_a_series_and_a_sent_image(browser, serve, images):
    base, _ = serve()
    page = open_page(browser, base, 390, 844)
    page.set_input_files("#file", images / "series.tif")
    status_of(page, "64 × 64")
    assert page.inner_text("#date-shown") == "2022-08-01"
    page.locator("#date").fill("0")
    assert page.inner_text("#date-shown") == "2022-04-01"
    until(page, "agrilape.map.areTilesLoaded()")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.faults == []

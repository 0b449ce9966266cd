"""The page in a real browser: it lays out at desktop and phone width without a horizontal scroll bar."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from agrilape.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PROBE = """<!doctype html>
<iframe id="page" style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe>
<script>
page.onload = () => {{
  const inside = page.contentDocument.documentElement;
  const images = [...page.contentDocument.images];
  const loaded = images.filter(image => image.naturalWidth).length;
  document.body.append(`content ${{inside.scrollWidth}} loaded ${{loaded}} of ${{images.length}}`);
}};
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = Path(__file__).parents[1] / "unit/report/conftest.py"
    spec = importlib.util.spec_from_file_location("report_run", path)
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    return write_report(maker.make_run(tmp_path_factory.mktemp("runs") / "trial"))


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_width_and_shows_its_charts(page, tmp_path, width):
    text = page.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    (tmp_path / "probe.html").write_text(PROBE.format(width=width, page=text), encoding="utf-8")
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ]
    shown = subprocess.run(
        [*command, f"file://{tmp_path / 'probe.html'}"], capture_output=True, text=True, timeout=120
    )
    words = shown.stdout.rpartition("content ")[2].split()
    assert int(words[0]) <= width, "the page is wider than the screen"
    assert words[2] == words[4].split("<")[0]
    assert int(words[2]) >= 7

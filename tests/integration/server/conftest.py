"""A service with the model that ships, on a port of loopback, and images that it may be asked about."""

import threading
import time

import numpy as np
import pytest
import rasterio
import uvicorn
from affine import Affine

from agrilape.config.recipe import SimulateSource
from agrilape.serve import Predictor
from agrilape.server.app import make_app
from agrilape.server.service import Service
from agrilape.server.settings import ServerSettings
from agrilape.simulate import simulate_scene

TRANSFORM = Affine(10, 0, 600_000, 0, -10, 6_200_000)


@pytest.fixture(scope="session")
def predictor():
    return Predictor()


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder with a landscape, a series, and traps beside and in it."""
    root = tmp_path_factory.mktemp("world")
    folder = root / "images"
    folder.mkdir()
    simulate_scene(root / "made", SimulateSource(size=192, gsd=2.5, dates=1, seed=11), 0)
    (folder / "farm").mkdir()
    next((root / "made").rglob("2*.tif")).rename(folder / "farm" / "june.tif")
    write_series(folder / "series.tif")
    write_series(root / "secret.tif")
    (folder / "link.tif").symlink_to(root / "secret.tif")
    (folder / "out").symlink_to(root)
    write_series(folder / "farm" / "june_labels.tif")  # no image: classes for another one
    (folder / "view.vrt").write_text("<VRTDataset/>")
    (folder / "broken.tif").write_bytes(b"II*\0 but no image")
    write_series(folder / "nowhere.tif", crs=None, transform=None)
    return folder


def write_series(path, crs="EPSG:25832", transform=TRANSFORM):
    rng = np.random.default_rng(0)
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=64, count=3, dtype="float32", crs=crs,
        transform=transform,
    ) as file:  # fmt: skip
        file.write(rng.uniform(0, 1, (3, 64, 64)).astype("float32"))
        file.descriptions = ("2022-04-01_ndvi", "2022-06-01_ndvi", "2022-08-01_ndvi")


@pytest.fixture
def serve(predictor, images, tmp_path):
    """Starts services; returns the address of each."""
    running = []

    def start(**settings):
        service = Service(predictor, ServerSettings(tmp_path / "state", images, **settings))
        server = uvicorn.Server(uvicorn.Config(make_app(service), port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        running.append((server, thread, service))
        port = server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}", service

    yield start
    for server, thread, service in running:
        service.stopping.set()
        server.should_exit = True
        thread.join()

"""Files are found whatever the case of their suffix, and what is passed over is named."""

import numpy as np
import pytest
from PIL import Image
from tests.unit.sources.conftest import SIZE, field, reflectance

from agrilape.errors import DataError
from agrilape.sources import open_folder
from agrilape.sources.discovery import find_files, passed_over


@pytest.mark.parametrize("pattern", ["**/*.tif", "**/*.TIF", "**/*.tiff", "**/*.Tiff"])
def test_any_spelling_of_a_suffix_finds_all(tmp_path, pattern):
    for name in (
        "a.tif",
        "b.TIF",
        "c.tiff",
        "d/e.TIFF",
        "f.Tif",
        "g.tifx",
        "h.tif.txt",
        ".i.tif",
        ".j/k.tif",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_files(tmp_path, pattern)]
    assert found == ["a.tif", "b.TIF", "c.tiff", "d/e.TIFF", "f.Tif"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jp2", ("a.jp2", "b.JP2")),
        ("*.JPG", ("a.jpg", "b.JPEG")),
        ("*.gpkg", ("a.gpkg", "b.GPKG")),
        ("scene_*.tif", ("scene_1.TIF",)),
        ("[ab].tif", ("a.tif", "b.TIF")),
        ("*", ("a.tif", "b.JPG")),
        ("*.nc", ("a.nc", "b.NC4")),
    ],
)
def test_patterns_of_other_kinds(tmp_path, pattern, names):
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in find_files(tmp_path, pattern)] == sorted(names)


def test_three_spellings_are_three_dates(write_raster, write_parcels, tmp_path):
    for name in ("a_20210503.TIF", "b_20210703.tiff", "c_20210903.tif"):
        write_raster(name)
    write_parcels()
    (scene,) = open_folder(tmp_path).scenes
    assert len(scene.frames) == 3


def test_what_is_passed_over_is_named_with_a_count(write_raster, tmp_path):
    write_raster("20210503.tif")
    for name in ("a.jp2", "b.JP2", "c.PNG", "20210503_labels.png"):
        (tmp_path / name).touch()
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr/c.tif").touch()
    opened = open_folder(tmp_path)
    assert any(
        "3 files (2 .jp2, 1 .png: a.jp2, b.JP2, c.PNG) were passed over" in note for note in opened.notes
    )
    assert [path.name for path in passed_over(tmp_path, [])] == [
        "20210503.tif", "20210503_labels.png", "a.jp2", "b.JP2", "c.PNG",
    ]  # fmt: skip


def test_a_folder_with_other_images_says_which(tmp_path):
    (tmp_path / "a.jp2").touch()
    with pytest.raises(DataError, match=r"matches \*\*/\*\.tif; there are 1 file \(1 \.jp2: a\.jp2\)"):
        open_folder(tmp_path)


def test_labels_and_masks_of_any_case_are_found(write_raster, write_parcels, tmp_path):
    write_raster("a/20210503.TIF")
    write_raster("a/labels.TIF", np.full((1, SIZE, SIZE), 7, np.uint8), names=None)
    Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(tmp_path / "field.PNG")
    Image.fromarray(np.full((40, 60), 3, np.uint8)).save(tmp_path / "field_labels.PNG")
    (scene,) = open_folder(tmp_path).scenes
    assert len(scene.parcels) == 1
    (picture,) = open_folder(tmp_path, images="*.png").scenes
    assert len(picture.parcels) == 1


def test_observations_of_any_case_are_found(write_raster, tmp_path):
    write_raster("20210503.tif")
    place = field(10, 10, 12, 12).centroid
    (tmp_path / "Observations.CSV").write_text(f"x,y,crop\n{place.x},{place.y},maize\n")
    (scene,) = open_folder(tmp_path).scenes
    assert [seen.value for seen in scene.observations] == ["maize"]


def test_a_file_of_another_kind_does_not_sink_its_folder(write_raster, tmp_path):
    write_raster("20210503.tif", reflectance())
    (tmp_path / "20210612.tif").write_text("no image")
    (tmp_path / "20210801.TIF").write_bytes(b"")
    opened = open_folder(tmp_path)
    assert [len(scene.frames) for scene in opened.scenes] == [1]
    assert sorted(problem.path.name for problem in opened.problems) == ["20210612.tif", "20210801.TIF"]

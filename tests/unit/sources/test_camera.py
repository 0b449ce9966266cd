from datetime import date

import numpy as np
import pytest
from PIL import ExifTags, Image

from agrilape.geo.shapes import Point
from agrilape.io.pictures import PictureTags, picture_tags
from agrilape.sources.camera import camera_place

WIDTH, HEIGHT = 400, 300
GPS = {
    "GPSLatitudeRef": "N", "GPSLatitude": (56.0, 20.0, 6.25), "GPSLongitudeRef": "E",
    "GPSLongitude": (9.0, 15.0, 55.3), "GPSAltitude": 80.0,
}  # fmt: skip
CAMERA = {"FocalLengthIn35mmFilm": 24, "DateTimeOriginal": "2022:06:17 10:30:00"}
DJI = 'd:RelativeAltitude="+50.00" d:GimbalPitchDegree="{pitch}" d:GimbalYawDegree="{yaw}"'


def place(exif=CAMERA, gps=GPS, xmp=""):
    return camera_place(PictureTags(exif, gps, xmp), WIDTH, HEIGHT)


def test_the_middle_lies_below_the_camera_and_pixels_are_as_long_as_height_and_lens_say():
    found = place(xmp=DJI.format(pitch="-90.0", yaw="+0.0"))
    grid = found.georeference
    assert grid.crs == "EPSG:32632"
    assert grid.centre_wgs84() == pytest.approx((9.26536, 56.33507), abs=1e-5)
    # 50 m above ground, 24 mm on a diagonal of 43.27 mm, which 500 px cover
    assert grid.gsd_m == pytest.approx(50 * 43.2666 / (24 * 500), rel=2e-3)
    assert found.acquired == date(2022, 6, 17)
    assert "approximate" in found.note


@pytest.mark.parametrize(("yaw", "azimuth"), [("+90.0", 90), ("-90.0", 270), ("+180.0", 180), ("0.0", 0)])
def test_the_top_of_the_picture_looks_where_the_camera_was_turned(yaw, azimuth):
    grid = place(xmp=DJI.format(pitch="-90.0", yaw=yaw)).georeference
    found = grid.azimuth_deg(Point(0.5, 0.5), Point(0.5, 0.0))  # by true north, which the grid's is not
    assert (found - azimuth + 180) % 360 - 180 == pytest.approx(0, abs=1.0)
    right = grid.azimuth_deg(Point(0.5, 0.5), Point(1.0, 0.5))
    assert (right - azimuth) % 360 == pytest.approx(90, abs=1.0)


def test_sensor_and_focal_length_do_as_well():
    camera = {"FocalLength": 8.8, "FocalPlaneXResolution": 4167.0, "FocalPlaneResolutionUnit": 3}
    found = place(exif=camera, xmp=DJI.format(pitch="-90", yaw="0"))
    assert found.georeference.gsd_m == pytest.approx(50 * (10 / 4167) / 8.8, rel=2e-3)


def test_a_height_above_the_sea_is_said_to_be_one():
    found = place()
    assert found.georeference.gsd_m == pytest.approx(80 * 43.2666 / (24 * 500), rel=2e-3)
    assert "above sea level, taken for the height above ground" in found.note
    assert "top taken for north" in found.note


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"gps": {}}, "GPS position"),
        ({"exif": {}}, "focal length and sensor"),
        ({"gps": {**GPS, "GPSAltitude": float("nan")}}, "height"),
        ({"gps": {**GPS, "GPSLatitude": ("a", 1, 2)}}, "GPS position"),
        ({"xmp": DJI.format(pitch="-30.0", yaw="0.0")}, "60 degrees aside"),
    ],
)
def test_without_what_it_takes_there_is_no_place(settings, says):
    found = place(**settings)
    assert found.georeference is None
    assert says in found.note


def test_south_and_west_are_negative():
    gps = {**GPS, "GPSLatitudeRef": "S", "GPSLongitudeRef": "W"}
    grid = place(gps=gps).georeference
    assert grid.crs == "EPSG:32729"
    assert grid.centre_wgs84() == pytest.approx((-9.26536, -56.33507), abs=1e-5)


def test_tags_are_read_from_a_photograph(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 24
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps |= {1: "N", 2: (56.0, 20.0, 6.25), 3: "E", 4: (9.0, 15.0, 55.3), 6: 80.0}
    exif[ExifTags.IFD.GPSInfo] = gps
    path = tmp_path / "drone.jpg"
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path, exif=exif)
    tags = picture_tags(path)
    assert tags.exif["FocalLengthIn35mmFilm"] == 24
    found = camera_place(tags, WIDTH, HEIGHT)
    assert found.georeference.centre_wgs84() == pytest.approx((9.26536, 56.33507), abs=1e-5)

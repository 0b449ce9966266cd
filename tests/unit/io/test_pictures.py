"""Pictures of every kind that cameras and annotation tools write."""

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

import agrilape
from agrilape.errors import DataError
from agrilape.io.pictures import LIMIT_VARIABLE, as_rgb, encoded, orientation, picture_size, read_picture

RGB = np.random.default_rng(0).integers(30, 200, (40, 64, 3), dtype=np.uint8)
RGB[:20, :32] = (250, 10, 10)  # the top left is red


def saved(image, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(number: int, kind: str = "JPEG") -> bytes:
    """The picture as a camera stores it that is held so that `number` turns it upright."""
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[number]
    image = Image.fromarray(RGB)
    image = image if undo is None else image.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = number
    return saved(image, kind, exif=exif, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pictures_are_upright(tmp_path, number, kind) -> None:
    data = turned(number, kind)
    file = tmp_path / f"a.{kind.lower()}"
    file.write_bytes(data)
    assert picture_size(file) == (64, 40)
    assert orientation(file) == number
    apart = np.abs(read_picture(file).rgb.astype(int) - RGB)
    assert apart.mean() < (12 if kind == "JPEG" else 0.01)
    kept, size = encoded(data)
    assert size == (64, 40) == as_rgb(kept).size == picture_size(kept)
    assert (kept == data) == (number == 1)


def test_a_damaged_orientation_turns_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert encoded(saved(Image.fromarray(RGB), "JPEG", exif=exif))[1] == (64, 40)


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "CMYK", "1", "YCbCr", "HSV", "LAB"])
def test_every_mode_becomes_rgb(mode) -> None:
    kind = {"CMYK": "TIFF", "YCbCr": "JPEG", "HSV": None, "LAB": "TIFF"}.get(mode, "PNG")
    if kind is None:
        pytest.skip("no format holds it")
    rgb = read_picture(saved(Image.fromarray(RGB).convert(mode), kind)).rgb
    assert rgb.shape == (40, 64, 3)
    assert abs(rgb.mean() - RGB.mean()) < (40 if mode == "1" else 12)


@pytest.mark.parametrize("transparent", ["RGBA", "LA", "P"])
def test_transparent_pixels_hold_no_data(transparent) -> None:
    if transparent == "P":
        image = Image.fromarray(np.repeat(np.arange(64, dtype=np.uint8)[None], 40, 0), "L").convert("P")
        data = saved(image, transparency=bytes([0] * 32 + [255] * 224))
    else:
        image = Image.fromarray(RGB).convert(transparent)
        alpha = np.full((40, 64), 255, np.uint8)
        alpha[:, :32] = 0
        image.putalpha(Image.fromarray(alpha))
        data = saved(image)
    blank = read_picture(data).blank
    assert blank is not None
    assert blank[:, :32].all()
    assert not blank[:, 32:].any()
    assert (np.asarray(as_rgb(data))[:, :32] == 128).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_wide_grey_is_stretched_not_cut(dtype) -> None:
    values = np.linspace(2000, 9000, 64 * 64).reshape(64, 64).astype(dtype)
    kind = "PNG" if dtype == np.uint16 else "TIFF"
    rgb = read_picture(saved(Image.fromarray(values), kind)).rgb
    assert len(np.unique(rgb)) > 60
    assert rgb.min() == 0
    assert rgb.max() == 255
    assert (np.diff(rgb[32, :, 0].astype(int)) >= 0).all()


def of_gdal(values, driver, **options) -> bytes:
    """Bytes of an image that Pillow cannot write."""
    values = values if values.ndim == 3 else values[None]
    count, height, width = values.shape
    shape = {"width": width, "height": height, "count": count, "dtype": values.dtype}
    with rasterio.MemoryFile() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open(driver=driver, **shape, **options) as image:
            image.write(values)
        return bytes(file.read())


COUNTS = np.linspace(2000, 9000, 40 * 64).reshape(40, 64)  # what a sensor of 14 bits writes into 16
OPAQUE = np.where(np.arange(64) < 32, 0, 65535) * np.ones((40, 1))


@pytest.mark.parametrize(
    ("bands", "dtype", "driver", "options"),
    [
        (3, "uint16", "PNG", {}),
        (3, "uint16", "GTiff", {"interleave": "pixel", "photometric": "rgb"}),
        (3, "uint16", "GTiff", {"interleave": "band"}),
        (5, "uint16", "GTiff", {"interleave": "band"}),
        (3, "float32", "GTiff", {"interleave": "pixel", "photometric": "rgb"}),
        (1, "float64", "GTiff", {}),
        (3, "uint16", "JP2OpenJPEG", {"REVERSIBLE": "YES", "QUALITY": "100"}),
    ],
)
def test_deep_colour_is_stretched_and_not_nearly_black(bands, dtype, driver, options) -> None:
    data = of_gdal(np.stack([COUNTS] * bands).astype(dtype), driver, **options)
    rgb = read_picture(data).rgb
    assert rgb.shape == (40, 64, 3)
    assert (rgb.min(), rgb.max()) == (0, 255)
    assert abs(rgb.mean() - 127.5) < 1
    kept, size = encoded(data)
    assert size == picture_size(data) == (64, 40)
    assert (np.asarray(as_rgb(kept)) == rgb).all()


def test_bands_of_deep_colour_keep_their_proportions() -> None:
    """As of imagery: red, green and blue share the widest range of the three."""
    data = of_gdal(np.stack([COUNTS, COUNTS / 2, COUNTS / 4]).astype("uint16"), "PNG")
    assert read_picture(data).rgb.max((0, 1)).tolist() == pytest.approx([255, 130, 65], abs=4)


def test_colour_that_fills_16_bits_keeps_its_high_byte() -> None:
    values = np.moveaxis(RGB, -1, 0).astype("uint16") * 257
    assert (read_picture(of_gdal(values, "PNG")).rgb == RGB).all()


@pytest.mark.parametrize("number", range(1, 9))
def test_deep_colour_is_upright(number) -> None:
    values = np.moveaxis(RGB, -1, 0).astype("uint16") * 40
    exif = turned(number, "PNG")
    chunk = exif[exif.index(b"eXIf") - 4 :]
    chunk = chunk[: 12 + int.from_bytes(chunk[:4], "big")]
    stored = np.asarray(Image.open(io.BytesIO(exif)))
    plain = of_gdal(np.moveaxis(stored, -1, 0).astype("uint16") * 40, "PNG")
    data = plain[:33] + chunk + plain[33:]
    assert picture_size(data) == (64, 40)
    assert (read_picture(data).rgb == read_picture(of_gdal(values, "PNG")).rgb).all()


@pytest.mark.parametrize(
    ("values", "driver", "options"),
    [
        (np.stack([COUNTS] * 3 + [OPAQUE]).astype("uint16"), "PNG", {}),
        (np.stack([COUNTS, OPAQUE]).astype("uint16"), "PNG", {}),
        (np.where(OPAQUE, COUNTS, 0).astype("uint16"), "PNG", {"nodata": 0}),
        (np.where(OPAQUE, COUNTS, 0).astype("uint16"), "GTiff", {"nodata": 0}),
        (np.where(OPAQUE, COUNTS, -9999).astype("float32"), "GTiff", {"nodata": -9999}),
        (np.where(OPAQUE, COUNTS, np.nan).astype("float64"), "GTiff", {}),
        (np.stack([np.where(OPAQUE, COUNTS, 0)] * 3).astype("uint16"), "GTiff", {"nodata": 0}),
    ],
)
def test_no_data_is_blank_and_does_not_move_the_stretch(values, driver, options) -> None:
    pixels = read_picture(of_gdal(values, driver, **options))
    assert pixels.blank is not None
    assert (pixels.blank == (OPAQUE == 0)).all()
    assert pixels.rgb[:, 32:].min() == 0
    assert abs(pixels.rgb[:, 32:].mean() - 127.5) < 2


def test_too_large_a_tiff_of_floats_is_refused_by_name(tmp_path, monkeypatch) -> None:
    file = tmp_path / "mosaic.tif"
    file.write_bytes(of_gdal(COUNTS.astype("float64"), "GTiff"))
    monkeypatch.setenv(LIMIT_VARIABLE, "2000")
    with pytest.raises(DataError, match=r"mosaic\.tif has 64 x 40 pixels, more than 2,000"):
        read_picture(file)


def test_float_gaps_are_blank_and_even_grey_is_even() -> None:
    values = np.full((8, 8), 0.5, np.float32)
    values[0] = np.nan
    pixels = read_picture(saved(Image.fromarray(values), "TIFF"))
    assert pixels.blank is not None
    assert pixels.blank.sum() == 8
    assert len(np.unique(pixels.rgb[1:])) == 1


def test_sixteen_bits_that_hold_eight_stay() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    assert (read_picture(saved(Image.fromarray(values))).rgb[..., 0] == values).all()


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    for kind in ("PNG", "GIF", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert np.abs(read_picture(data).rgb.astype(int) - RGB).mean() < 12


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "a.png is empty"),
        (b"no picture at all", "a.png is not a readable picture: no known format"),
        (saved(Image.fromarray(RGB))[:900], "a.png is not a readable picture"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a.png is HEIC or AVIF"),
    ],
)
def test_what_is_no_picture_is_named_with_a_remedy(tmp_path, data, reason) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(data)
    with pytest.raises(DataError, match=reason):
        read_picture(file)
    with pytest.raises(DataError, match=reason):
        encoded(data, "a.png")


def test_too_large_a_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch) -> None:
    file = tmp_path / "mosaic.png"
    Image.new("1", (15_000, 15_000)).save(file)
    with pytest.raises(DataError, match=r"mosaic\.png has 15000 x 15000 pixels, more than 178,956,970"):
        read_picture(file)
    monkeypatch.setenv(LIMIT_VARIABLE, "300000000")
    assert picture_size(file) == (15_000, 15_000)
    monkeypatch.setenv(LIMIT_VARIABLE, "many")
    with pytest.raises(DataError, match=LIMIT_VARIABLE):
        picture_size(file)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_damaged_pictures_are_read_or_refused(at, noise) -> None:
    data = bytearray(turned(6))
    data[at : at + len(noise)] = noise
    try:
        rgb = read_picture(bytes(data)).rgb
    except DataError:
        return
    assert rgb.ndim == 3


def test_pictures_are_opened_at_one_place() -> None:
    source = Path(agrilape.__file__).parent
    opens = re.compile(r"\bImage\.open\(")
    found = [f for f in source.rglob("*.py") if opens.search(f.read_text())]
    assert [f.relative_to(source).as_posix() for f in found] == ["io/pictures.py"]

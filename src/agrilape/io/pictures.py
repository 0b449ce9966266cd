"""The one place that opens PNG, JPEG and other plain pictures: as people see them, or not at all.

A picture is turned as its EXIF orientation says, since that is how annotation tools show it; of an animation
the first frame counts; palettes, CMYK and black and white become RGB; grey of more than 8 bits is stretched
from its 1st to its 99th percentile, as imagery is, and so is colour that does not fill its 16 bits;
transparent pixels hold no data.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from agrilape.errors import DataError
from agrilape.io.deep_pictures import PERCENTILES, is_deep, is_tiff, read_deep

LIMIT_VARIABLE = "AGRILAPE_MAX_PICTURE_PIXELS"
MOST_PIXELS = 178_956_970
"""Pixels of a picture that is opened: half a gigabyte of RGB. Larger ones are read by window as GeoTIFF."""
NO_DATA_GREY = 128
"""Tone of what is transparent, where a picture must have some; that of imagery without data."""
AS_THEY_ARE = ("PNG", "JPEG")
"""Formats whose bytes are kept if nothing has to be turned or converted."""
_HEIC = (b"heic", b"heix", b"mif1", b"hevc", b"avif")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""
_NODATA_TAG = 42113  # GDAL's, in TIFF
_WIDE = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


class Pixels(NamedTuple):
    """A picture as people see it.

    Attributes:
        rgb: `[height, width, 3]`.
        blank: Which pixels are transparent, `[height, width]`; None for none.
    """

    rgb: NDArray[np.uint8]
    blank: NDArray[np.bool_] | None


def read_picture(source: Path | bytes, name: str = "the picture") -> Pixels:
    """The pixels of a picture.

    Args:
        source: A file, or its bytes.
        name: What errors call bytes.

    Raises:
        DataError: It is no readable picture, or has more than `MOST_PIXELS`; the file is named.
    """
    with _opened(source, name) as image:
        return _pixels(image)


def picture_size(source: Path | bytes, name: str = "the picture") -> tuple[int, int]:
    """Width and height of a picture as people see it, from its header.

    Raises:
        DataError: As `read_picture`.
    """
    with _opened(source, name) as image:
        width, height = image.size
        own = isinstance(source, bytes) and image.format == "PNG"  # upright; asking for EXIF would decode it
        return (height, width) if not own and _orientation(image) > 4 else (width, height)


def picture_format(data: bytes, name: str = "the picture") -> str:
    """The format of a picture in lower case, as in `image/png`.

    Raises:
        DataError: As `read_picture`.
    """
    with _opened(data, name) as image:
        return (image.format or "png").lower()


def orientation(source: Path | bytes, name: str = "the picture") -> int:
    """How EXIF says that a picture is turned, 1 to 8; 1 for upright.

    Raises:
        DataError: As `read_picture`.
    """
    with _opened(source, name) as image:
        return _orientation(image)


class PictureTags(NamedTuple):
    """What a camera wrote into a picture.

    Attributes:
        exif: EXIF tags by name, those of the camera among them.
        gps: GPS tags by name.
        xmp: The XMP packet, as text.
    """

    exif: Mapping[str, Any]
    gps: Mapping[str, Any]
    xmp: str


def picture_tags(source: Path) -> PictureTags:
    """The tags of a picture; none where there are none, or none that can be read.

    Raises:
        DataError: As `read_picture`.
    """
    with _opened(source, str(source)) as image:
        exif = image.getexif()
        camera = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        xmp = image.info.get("xmp", b"")
    return PictureTags(
        {ExifTags.TAGS.get(tag, str(tag)): value for tag, value in camera.items()},
        {ExifTags.GPSTAGS.get(tag, str(tag)): value for tag, value in gps.items()},
        xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp),
    )


def as_rgb(data: bytes, name: str = "the picture") -> Image.Image:
    """A picture as an RGB image of Pillow, transparent pixels in grey.

    Raises:
        DataError: As `read_picture`.
    """
    with _opened(data, name) as image:
        if image.mode == "RGB" and _orientation(image) == 1 and "transparency" not in image.info:
            image.load()
            return image.copy()
        return Image.fromarray(_filled(_pixels(image)))


def encoded(data: bytes, name: str = "the picture") -> tuple[bytes, tuple[int, int]]:
    """Bytes of a picture that every reader shows alike, and its width and height.

    Those of an upright RGB PNG or JPEG stay as they are, others become a PNG.

    Raises:
        DataError: As `read_picture`.
    """
    with _opened(data, name) as image:
        plain = image.mode == "RGB" and "transparency" not in image.info and not _is_animated(image)
        if image.format in AS_THEY_ARE and plain and _orientation(image) == 1:
            image.load()  # a file that was cut short fails here
            return data, image.size
        rgb = _filled(_pixels(image))
    return to_png(Image.fromarray(rgb)), (rgb.shape[1], rgb.shape[0])


def to_png(image: Image.Image) -> bytes:
    """PNG bytes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def most_pixels() -> int:
    """Pixels up to which a picture is opened: `AGRILAPE_MAX_PICTURE_PIXELS`, else `MOST_PIXELS`.

    Raises:
        DataError: The variable is no number.
    """
    said = os.environ.get(LIMIT_VARIABLE, "")
    try:
        return int(said) if said else MOST_PIXELS
    except ValueError as error:
        raise DataError(f"{LIMIT_VARIABLE} is {said!r}", "set it to a number of pixels") from error


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    """An image of Pillow, its errors as ours."""
    where = str(source) if isinstance(source, Path) else name
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    previous, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our own limit, with the file's name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd EXIF and the like
            check = partial(_check_size, where)
            with _image(source, stream, check) as image:
                check(image.width, image.height)
                yield (_in_eight_bits(source, image, check) if is_deep(image) else None) or image
    except DataError:
        raise
    except Exception as error:  # as many kinds as there are formats
        raise _unreadable(source, where, error) from error
    finally:
        Image.MAX_IMAGE_PIXELS = previous


def _image(source: Path | bytes, stream: Path | io.BytesIO, check: Callable[[int, int], None]) -> Image.Image:
    """What Pillow opens, or else, of TIFF, GDAL."""
    try:
        return Image.open(stream)
    except UnidentifiedImageError:
        if is_tiff(_head(source)) and (image := read_deep(source, check)) is not None:
            return image
        raise


def _in_eight_bits(
    source: Path | bytes, image: Image.Image, check: Callable[[int, int], None]
) -> Image.Image | None:
    """A picture of which Pillow keeps the high byte alone, upright; None where that shows it rightly."""
    turn = _TURNS.get(_orientation(image))
    shown = read_deep(source, check)
    return shown if shown is None or turn is None else shown.transpose(turn)


def _check_size(where: str, width: int, height: int) -> None:
    if width * height > (limit := most_pixels()):
        raise DataError(
            f"{where} has {width} x {height} pixels, more than {limit:,}",
            "save it as a tiled GeoTIFF (gdal_translate -co TILED=YES), which is read by window, "
            f"or raise {LIMIT_VARIABLE}",
        )


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:64]
    with source.open("rb") as file:
        return file.read(64)


def _unreadable(source: Path | bytes, where: str, error: Exception) -> DataError:
    if isinstance(error, MemoryError):
        return DataError(f"{where} does not fit into memory", "make it smaller, or leave it out")
    try:
        head = _head(source)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        return DataError(f"{where} cannot be read: {reason}", "check the path, and the right to read it")
    if not head:
        return DataError(f"{where} is empty", "copy it again, or leave it out")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return DataError(f"{where} is HEIC or AVIF, which is not read", "save it as JPEG or PNG")
    said = str(error).removeprefix("cannot identify image file").strip() or type(error).__name__
    said = "no known format" if said.startswith(("'", "<")) else said
    return DataError(f"{where} is not a readable picture: {said}", "copy it again, or leave it out")


def _orientation(image: Image.Image) -> int:
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF says nothing about the picture
        return 1
    return turned if turned in range(1, 9) else 1


def _is_animated(image: Image.Image) -> bool:
    return bool(getattr(image, "is_animated", False))


def _pixels(image: Image.Image) -> Pixels:
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in _WIDE:
        return _stretched(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        values = np.asarray(image.convert("RGBA"))
        blank = values[..., 3] == 0
        return Pixels(np.ascontiguousarray(values[..., :3]), blank if blank.any() else None)
    return Pixels(np.asarray(image.convert("RGB")), None)


def _stretched(image: Image.Image) -> Pixels:
    """Grey of more than 8 bits on 8 bits; numbers that are 0 to 255 already stay as they are."""
    values = np.asarray(image, np.float64)
    known = np.isfinite(values) & (values != _no_data(image))
    if not known.any():
        return Pixels(np.full((*values.shape, 3), NO_DATA_GREY, np.uint8), ~known)
    whole = image.mode != "F" and values[known].min() >= 0 and values[known].max() <= 255
    low, high = (0.0, 255.0) if whole else np.percentile(values[known], PERCENTILES)
    if high <= low:
        low, high = float(values[known].min()), float(values[known].max())
    share = (np.where(known, values, low) - low) / ((high - low) or 1.0)
    grey = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return Pixels(np.repeat(grey[..., None], 3, axis=2), None if known.all() else ~known)


def _no_data(image: Image.Image) -> float:
    """The number that means no data, NaN if none does: in PNG what is transparent, in TIFF by GDAL's tag."""
    tags = getattr(image, "tag_v2", {})
    said = tags.get(_NODATA_TAG, image.info.get("transparency"))
    try:
        return float(str(said).strip("\0 "))
    except ValueError:
        return np.nan


def _filled(pixels: Pixels) -> NDArray[np.uint8]:
    if pixels.blank is None:
        return pixels.rgb
    rgb = pixels.rgb.copy()
    rgb[pixels.blank] = NO_DATA_GREY
    return rgb

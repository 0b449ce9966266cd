"""Pictures for people and models: composites of three bands, and indices in colour, with a stated stretch."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from agrilape.errors import DataError, did_you_mean
from agrilape.sources.bands import RGB

Values = NDArray[np.float32]

NO_DATA_GREY = 128  # neutral: black would look like water or shadow
PERCENTILES = (1.0, 99.0)
GAMMA = 1.6  # reflectance is linear, but eyes, photographs and pretrained encoders are not
STEPS = (
    1020  # of a band between low and high; a multiple of 255, so that 8-bit values come out as they went in
)
SMALLEST_RANGE = 1e-6  # a band of one value is still a picture

COMPOSITES: dict[str, tuple[str, str, str]] = {
    "true_colour": ("red", "green", "blue"),
    "false_colour": ("nir", "red", "green"),
    "agriculture": ("swir_1", "nir", "blue"),
}


@dataclass(frozen=True)
class Index:
    """A spectral index.

    Attributes:
        formula: Arithmetic on band roles, reflectance in 0-1.
        low: Value shown as the lowest colour.
        high: Value shown as the highest colour.
    """

    formula: str
    low: float = -0.2
    high: float = 0.9


INDICES: dict[str, Index] = {
    "ndvi": Index("(nir - red) / (nir + red)"),  # Rouse et al. 1974
    "evi": Index("2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)"),  # Huete et al. 2002
    "evi2": Index("2.5 * (nir - red) / (nir + 2.4 * red + 1)"),  # Jiang et al. 2008
    "ndwi": Index("(green - nir) / (green + nir)", -0.8, 0.5),  # McFeeters 1996
    "ndmi": Index("(nir - swir_1) / (nir + swir_1)", -0.5, 0.6),  # Gao 1996
    "ndre": Index("(nir - red_edge_1) / (nir + red_edge_1)", -0.1, 0.8),  # Gitelson and Merzlyak 1994
    "savi": Index("1.5 * (nir - red) / (nir + red + 0.5)"),  # Huete 1988
}

# Bare soil to dense canopy; evenly spaced between an index's low and high.
_RAMP = np.array([[110, 80, 60], [196, 160, 110], [240, 230, 150], [120, 185, 70], [10, 90, 30]], np.float32)
_OPERATORS: dict[type[ast.AST], Callable[..., Values]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip


@lru_cache(maxsize=64)
def index_of(name: str) -> Index | None:
    """A known index by name, or any arithmetic on band roles; None if `name` is neither."""
    if name in INDICES:
        return INDICES[name]
    return Index(name, -1.0, 1.0) if any(sign in name for sign in "+-*/(") and inputs_of(name) else None


@lru_cache(maxsize=64)
def inputs_of(formula: str) -> tuple[str, ...]:
    """Band roles that a formula needs.

    Raises:
        DataError: It is not arithmetic on names and numbers.
    """
    names = {node.id for node in ast.walk(_parsed(formula)) if isinstance(node, ast.Name)}
    return tuple(sorted(names))


def evaluate_formula(formula: str, bands: Mapping[str, Values]) -> Values:
    """An index from its bands; NaN where it is not defined."""

    def value(node: ast.AST) -> Values:
        match node:
            case ast.BinOp():
                return _OPERATORS[type(node.op)](value(node.left), value(node.right))
            case ast.UnaryOp():
                return _OPERATORS[type(node.op)](value(node.operand))
            case ast.Name():
                return bands[node.id]
        assert isinstance(node, ast.Constant)
        return np.float32(node.value)  # type: ignore[return-value, arg-type]  # broadcasts like an array

    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.asarray(value(_parsed(formula)), np.float32)
    defined = np.isfinite(result)
    return result if defined.all() else np.where(defined, result, np.float32(np.nan))


@lru_cache(maxsize=64)
def _parsed(formula: str) -> ast.AST:
    try:
        tree = ast.parse(formula.strip(), mode="eval").body
    except SyntaxError as error:
        raise DataError(
            f"cannot read the formula {formula!r}", "write it like (nir - red) / (nir + red)"
        ) from error
    for node in ast.walk(tree):
        fine = isinstance(node, ast.BinOp | ast.UnaryOp | ast.Name | ast.Load) or type(node) in _OPERATORS
        if not fine and not (isinstance(node, ast.Constant) and isinstance(node.value, int | float)):
            raise DataError(
                f"the formula {formula!r} may only hold band names, numbers and + - * / **",
                "write it like (nir - red) / (nir + red)",
            )
    return tree


def composite_bands(composite: str, available: tuple[str, ...]) -> tuple[str, ...]:
    """Bands to read for a composite: three, or one that is shown in the colours of an index.

    Args:
        composite: `true_colour`, `false_colour`, an index, a formula, or one or three band roles with commas
            between (`nir,mir,red`).
        available: What the image can give.

    Raises:
        DataError: The image lacks a band for it.
    """
    wanted = COMPOSITES.get(composite) or (
        (composite,) if index_of(composite) else tuple(composite.split(","))
    )
    missing = [role for role in wanted if role not in available and not _derivable(role, available)]
    if missing or len(wanted) not in {1, 3}:
        possible = [name for name, roles in COMPOSITES.items() if set(roles) <= set(available)]
        possible += [role for role in available if role in INDICES]
        raise DataError(
            f"composite {composite!r} needs {', '.join(wanted)}, but the image has {', '.join(available)}",
            _what_to_show(composite, possible, available),
        )
    return wanted


def _what_to_show(composite: str, possible: Sequence[str], available: Sequence[str]) -> str:
    """What to do where an image lacks bands: most often they are there, but nobody knows which they are."""
    if any(role.startswith("band_") for role in available):
        return 'say what its bands are: "sensor" or "bands" in scene.json beside it (predict: --sensor)'
    if not possible:
        return "name one or three bands, as in nir,red,green"
    return did_you_mean(composite, possible, f"choose one of: {', '.join(possible)}")


def _derivable(role: str, available: tuple[str, ...]) -> bool:
    index = index_of(role)
    return index is not None and set(inputs_of(index.formula)) <= set(available)


@lru_cache(maxsize=64)  # asked of every frame at every window
def derivable_indices(available: tuple[str, ...]) -> tuple[str, ...]:
    """Known indices that can be computed from the bands."""
    return tuple(name for name in INDICES if name not in available and _derivable(name, available))


def render(
    values: Values, bands: tuple[str, ...], stretch: Mapping[str, tuple[float, float]]
) -> NDArray[np.uint8]:
    """Turn band values into an 8-bit picture; pixels with a missing value become neutral grey.

    Each band runs from its low to its high value. Stretched physical values then get the gamma of a display,
    as photographs have it; an index is looked up on a colour ramp; 8-bit brightness has no stretch and stays
    as it is.

    Args:
        values: `[bands, height, width]`, NaN where there is no data.
        bands: Their roles: three, or one that is shown on a ramp from brown to green.
        stretch: Value at 0 and at 255 for each role; an index falls back on its own range.

    Returns:
        RGB `[height, width, 3]`.
    """
    low, high = np.array([_range_of(role, stretch) for role in bands], np.float32).T[:, :, None, None]
    steps = values - low
    steps *= STEPS / (high - low)
    lost = np.isnan(steps)
    missing = lost.any(0) if lost.any() else None
    if missing is not None:
        steps[:, missing] = 0
    at = np.clip(np.rint(steps, out=steps), 0, STEPS, out=steps).astype(np.intp)
    picture = np.empty((*values.shape[1:], 3), np.uint8)
    if len(bands) == 1:
        _ramp().take(at[0], axis=0, out=picture)
    else:
        for channel, tones in enumerate(_tone(GAMMA if stretch else 1.0).take(at)):
            picture[..., channel] = tones
    if missing is not None:
        picture[missing] = NO_DATA_GREY
    return picture


@lru_cache(maxsize=2)
def _tone(gamma: float) -> NDArray[np.uint8]:
    """Brightness of each step between a band's low and high."""
    return np.rint(255 * np.linspace(0, 1, STEPS + 1) ** (1 / gamma)).astype(np.uint8)


@lru_cache(maxsize=1)
def _ramp() -> NDArray[np.uint8]:
    """Colour `[STEPS + 1, 3]` of each step between an index's low and high."""
    stops = np.linspace(0, STEPS, len(_RAMP))
    return np.stack([np.rint(np.interp(np.arange(STEPS + 1), stops, c)) for c in _RAMP.T], -1).astype(
        np.uint8
    )


def _range_of(role: str, stretch: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    if role in stretch:
        return stretch[role]
    index = index_of(role)
    return (index.low, index.high) if index else (0.0, 1.0)


def percentile_stretch(samples: Mapping[str, Values]) -> dict[str, tuple[float, float]]:
    """The range of each band from its 1st to its 99th percentile over sampled pixels; NaN is skipped.

    Red, green and blue each start at their own low end, which takes off haze, but share the widest range of
    the three: bare soil stays brown and pretrained models see colours as they know them.
    """
    found = {}
    for role, values in samples.items():
        valid = values[np.isfinite(values)]
        if valid.size and role not in INDICES:  # an index keeps its range: it means the same in every scene
            low, high = np.percentile(valid, PERCENTILES)
            found[role] = (float(low), float(max(high, low + SMALLEST_RANGE)))
    widest = max((found[role][1] - found[role][0] for role in RGB if role in found), default=0.0)
    return {role: (low, low + widest if role in RGB else high) for role, (low, high) in found.items()}

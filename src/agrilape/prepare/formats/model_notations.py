"""Boxes in the notations of other models, found in text that should hold none of them.

A row that was made for another model holds that model's marks. Where they say what the numbers run to, they
become boxes; where they do not, the row is refused and counted under the notation's name. They are never
trained as words.

Sources: Qwen-VL and Qwen2-VL (`<ref>`, `<box>` or `<|box_start|>`, corners in thousandths), Qwen2.5-VL and
Qwen3-VL (JSON with `bbox_2d`: pixels of the resized image, or thousandths), InternVL (`<box>[[...]]</box>`,
thousandths), CogVLM (`[[012,034,...]]`, thousandths), PaliGemma (`<loc0123>`, y before x, of 1,024),
Florence-2 (`<loc_123>`, of 999), Kosmos-2 (`<patch_index_0044>`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from agrilape.geo.shapes import Box, Part
from agrilape.io.numbers import NUMBER
from agrilape.prepare.formats.coordinate_conventions import PER_MILLE, CoordinateScale

_D = r"\s*(\d{1,4})\s*"
_N = rf"\s*{NUMBER}\s*"
_PAIRS = rf"\({_D},{_D}\)\s*,?\s*\({_D},{_D}\)"
_OPEN, _CLOSE = r"(?:<\|box_start\|>|<box>)", r"(?:<\|box_end\|>|</box>)"
_LIST = rf"\[{_D},{_D},{_D},{_D}\]"


class BoxNotation(NamedTuple):
    """How another model writes a box.

    Attributes:
        name: Of the notation.
        pattern: One box; its groups are the numbers.
        scale: What they run to; None where the text does not say.
        order: Which number is left, top, right and bottom.
    """

    name: str
    pattern: re.Pattern[str]
    scale: CoordinateScale | None = None
    order: tuple[int, int, int, int] = (0, 1, 2, 3)


FOREIGN = (
    BoxNotation("Qwen-VL", re.compile(rf"{_OPEN}\s*{_PAIRS}\s*{_CLOSE}"), PER_MILLE),
    BoxNotation("InternVL", re.compile(rf"<box>\s*\[?\s*{_LIST}\s*\]?\s*</box>"), PER_MILLE),
    BoxNotation("CogVLM", re.compile(r"\[\[\s*" + r"\s*,\s*".join([r"(\d{3})"] * 4) + r"\s*\]\]"), PER_MILLE),
    BoxNotation("PaliGemma", re.compile(r"<loc(\d{4})>" * 4), CoordinateScale(1024, 1024), (1, 0, 3, 2)),
    BoxNotation("Florence-2", re.compile(r"<loc_(\d{1,3})>" * 4), CoordinateScale(999, 999)),
    BoxNotation("CogVLM (several boxes in one)", re.compile(r"\[\[\s*\d{3}\s*,[\d\s,]*;")),
    BoxNotation("Qwen2.5-VL (bbox_2d)", re.compile(r"bbox_2d|point_2d")),
    BoxNotation("Kosmos-2", re.compile(r"<patch_index_\d+>")),
    BoxNotation("Gemini (box_2d)", re.compile(r"\bbox_2d")),
    BoxNotation("Molmo", re.compile(r"<points?\s[^>]*\bx1?\s*=")),
    BoxNotation("GeoChat", re.compile(r"\{\s*<\s*-?\d")),
    BoxNotation("another model: <box>", re.compile(r"</?box>|<\|/?box_(?:start|end)\|>|<\|?(?:quad|poly)")),
    BoxNotation("another model: <loc>", re.compile(r"<loc_?\d+>")),
    BoxNotation("named corners (x1, xmin)", re.compile(r"""["'](?:x1|x_?min|left)["']\s*:\s*""" + NUMBER)),
    BoxNotation(
        "numbers in brackets whose scale is not stated (percent, thousandths or pixels)",
        re.compile(rf"[\[(]{_N},{_N},{_N},{_N}(?:,{_N})*[\])]|<{_N}>\s*<{_N}>\s*<{_N}>\s*<{_N}>"),
    ),
)  # fmt: skip
"""The notations, those that say more before those that say less."""

_PHRASE = re.compile(r"<\|object_ref_(?:start|end)\|>|</?ref>")
_SPECIAL = re.compile(
    r"<\|[\w-]{1,40}\|>|</?s>|</?img>|\[/?INST\]"
    r"|<(?:pad|eos|bos|unk|grounding|IMG_CONTEXT|image_soft_token|start_of_turn|end_of_turn)>"
)


def boxes_of_others(text: str) -> Iterator[Part]:
    """Text with the boxes of other models as shapes.

    Raises:
        ValueError: A notation does not say its scale, or a special token of another model is left; the
            message names it, without numbers, so that rows are counted by it.
    """
    text = _PHRASE.sub("", text)
    for foreign in FOREIGN:
        match = foreign.pattern.search(text)
        if match is None:
            continue
        if foreign.scale is None:
            raise ValueError(
                f"a box in the notation of {foreign.name}"
                if "brackets" not in foreign.name
                else f"{foreign.name}: set `boxes` of the source"
            )
        yield from boxes_of_others(text[: match.start()])
        yield _box(foreign, match, foreign.scale)
        yield from boxes_of_others(text[match.end() :])
        return
    if mark := _SPECIAL.search(text):
        raise ValueError(f"the special token {mark[0]} of another model")
    if text:
        yield text


def _box(foreign: BoxNotation, match: re.Match[str], scale: CoordinateScale) -> Box:
    numbers = [float(number) for number in match.groups()]
    return scale.box(*(numbers[index] for index in foreign.order))

"""Boxes of other models become boxes or are refused by name; none is left as words."""

import pytest

from agrilape.geo.shapes import Box
from agrilape.prepare.formats.box_text import EARTHDIAL, FRACTIONS, GEOCHAT, STATED, TEOCHAT, VRSBENCH
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.prepare.formats.model_notations import boxes_of_others

SIZE = Size(100, 100)
BOX = Box(0.1, 0.2, 0.3, 0.4)


def edges(box):
    return (box.left, box.top, box.right, box.bottom)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("<box>(100,200),(300,400)</box>", BOX),
        ("<|box_start|>(100, 200), (300, 400)<|box_end|>", BOX),
        ("<box>[[100, 200, 300, 400]]</box>", BOX),
        ("[[100,200,300,400]]", BOX),
        ("<loc0256><loc0128><loc0768><loc0512>", Box(0.125, 0.25, 0.5, 0.75)),  # y before x
        ("<loc_111><loc_222><loc_333><loc_666>", Box(1 / 9, 2 / 9, 1 / 3, 2 / 3)),
    ],
)
def test_boxes_that_say_their_scale_are_boxes(text, box) -> None:
    before, found, after = boxes_of_others(f"the field {text} is green")
    assert (before, after) == ("the field ", " is green")
    assert edges(found) == pytest.approx(edges(box))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"bbox_2d": [10, 20, 30, 40]}', r"bbox_2d"),
        ('{"box_2d": [10, 20, 30, 40]}', r"Gemini"),
        ("<object><patch_index_0044><patch_index_0863></object>", "Kosmos-2"),
        ("{<10><20><30><40>|<45>}", "GeoChat"),
        ("[[012,034,512,634;001,002,100,200]]", "CogVLM"),
        ("<quad>(1,2),(3,4),(5,6),(7,8)</quad>", "another model"),
        ('<point x="10.5" y="20.1" alt="field">field</point>', "Molmo"),
        ('<points x1="10.5" y1="20.1" x2="3" y2="4">', "Molmo"),
        ("{'x1': 10, 'y1': 20, 'x2': 30, 'y2': 40}", "named corners"),
        ('{"xmin": 10, "ymin": 20}', "named corners"),
        ("[10, 20, 300, 400]", "scale is not stated"),
        ("(10, 20, 300, 400)", "scale is not stated"),
        ("(0.1, 0.2, 0.3, 0.4)", "scale is not stated"),
        ("maize<|im_end|>", "special token"),
        ("<img>a.jpg</img> maize", "special token"),
        ("<IMG_CONTEXT>maize", "special token"),
        ("<grounding>maize", "special token"),
    ],
)
@pytest.mark.parametrize("around", ["{}", "see {} there"])
def test_what_does_not_say_its_scale_is_refused_by_name(text, name, around) -> None:
    with pytest.raises(ValueError, match=name):
        list(boxes_of_others(around.format(text)))


@pytest.mark.parametrize("notation", [FRACTIONS, EARTHDIAL, GEOCHAT, VRSBENCH, TEOCHAT, *STATED.values()])
def test_no_format_keeps_four_numbers_in_parentheses_as_words(notation) -> None:
    with pytest.raises(ValueError, match="scale is not stated"):
        notation.parse("the field (10, 20, 30, 40)", SIZE)


def test_numbers_as_numpy_prints_them_are_numbers() -> None:
    wrapped = "[np.float64(0.1), np.float64(0.2), np.float64(0.3), np.float64(0.4)]"
    assert FRACTIONS.parse(wrapped, SIZE) == (BOX,)


@pytest.mark.parametrize(
    "text",
    [
        "maize (winter), 2 ha",
        "in 2019, 2020, 2021 and 2022",
        "(1) maize, (2) wheat",
        "x1 is a field",
        "a < b",
    ],
)
def test_other_words_are_left_alone(text) -> None:
    assert list(boxes_of_others(text)) == [text]

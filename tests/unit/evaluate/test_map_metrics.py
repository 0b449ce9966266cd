"""Scores of whole maps against readings by hand: loops over all pairs, pixels instead of outlines."""

from itertools import permutations

import numpy as np
import pytest
import shapely
from shapely.affinity import scale, translate

from agrilape.evaluate.map_metrics import MAP_METRICS, map_objects, outline_part
from agrilape.evaluate.metrics.matching import Detections, average_precision, greedy_hits, match, match_pairs
from agrilape.evaluate.metrics.polygons import overlapping, polygon_iou_matrices
from agrilape.evaluate.scores import score_tasks
from agrilape.geo.shapes import Box


def field(left, top, right, bottom):
    return outline_part(shapely.box(left, top, right, bottom))


def scores(*rows):
    (found,) = score_tasks(rows).values()
    return {name: one.value for name, one in found.items()}


def random_map(seed, count=12):
    """Fields on a grid and answers near some of them, some of them twice, some where nothing is."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation(36)[:count]
    fields = [
        shapely.box(x, y, x + 0.8, y + rng.uniform(0.4, 0.9))
        for x, y in zip(cells % 6, cells // 6, strict=True)
    ]
    answers = []
    for one in [*rng.choice(fields, count // 2, replace=False), *rng.choice(fields, count // 3)]:
        moved = translate(one, *rng.uniform(-0.25, 0.25, 2))
        answers.append(moved.union(translate(moved, 0.1, 0.1)).intersection(shapely.box(0, 0, 6, 6)))
    answers += [shapely.box(x, y, x + 0.5, y + 0.5) for x, y in rng.uniform(0, 5.5, (3, 2))]
    return [scale(one, 1 / 6, 1 / 6, origin=(0, 0)) for one in fields], [
        scale(one, 1 / 6, 1 / 6, origin=(0, 0)) for one in answers
    ]


def most_pairs(iou):
    """By trying every order: how many answers can have a parcel of their own."""
    rows, columns = iou.shape
    if rows > columns:
        iou, rows, columns = iou.T, columns, rows
    return max(
        sum(iou[r, c] >= 0.5 for r, c in enumerate(order)) for order in permutations(range(columns), rows)
    )


@pytest.mark.parametrize("seed", range(10))
def test_matches_of_a_map_are_those_of_brute_force(make_row, seed):
    fields, answers = random_map(seed, count=6)
    row = make_row("map_fields", map(outline_part, fields), map(outline_part, answers))
    found = scores(row)
    for name, form in (("outline", lambda g: g), ("box", shapely.envelope)):
        iou = np.array(
            [
                [form(a).intersection(form(b)).area / form(a).union(form(b)).area for b in fields]
                for a in answers
            ]
        )
        hits = most_pairs(iou)
        assert found[f"{name}_precision"] == pytest.approx(hits / len(answers))
        assert found[f"{name}_recall"] == pytest.approx(hits / len(fields))
        assert found[f"{name}_f1"] == pytest.approx(2 * hits / (len(answers) + len(fields)))


def test_pairs_are_matched_as_their_matrix_is():
    fields, answers = random_map(3, count=30)
    (iou,) = polygon_iou_matrices([(answers, fields)])
    assert match_pairs(overlapping(answers, fields)) == match(iou)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_all_pairs(make_row, seed):
    rows, images, rng = [], [], np.random.default_rng(seed)
    levels = iter(rng.permutation(101) / 100)
    for number in range(3):
        fields, answers = random_map(10 * seed + number, count=15)
        confidence = tuple(next(levels) for _ in answers)
        (iou,) = polygon_iou_matrices([(answers, fields)])
        images.append(Detections(np.array(confidence), iou))
        rows.append(
            make_row(
                "map_fields", map(outline_part, fields), map(outline_part, answers), id=str(number),
                confidence=confidence, meta={"ranked": True},
            )
        )  # fmt: skip
    assert scores(*rows)["outline_ap"] == pytest.approx(average_precision(images))


def test_the_surest_answer_takes_the_best_parcel_left():
    fields = [shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)]
    pairs = overlapping([fields[0], fields[0], fields[1], shapely.box(5, 5, 6, 6)], fields)
    assert greedy_hits(pairs, [0.2, 0.9, 0.1, 0.8]).tolist() == [False, True, True, False]


def test_without_confidence_there_is_no_average_precision(make_row):
    assert not [
        name for name in scores(make_row("map_fields", [field(0, 0, 1, 1)], [])) if name.endswith("_ap")
    ]


def test_areas_are_those_of_counted_pixels(make_row):
    fields, answers = random_map(4)
    found = scores(make_row("map_fields", map(outline_part, fields), map(outline_part, answers)))
    at = (np.stack(np.meshgrid(np.arange(600), np.arange(600)), -1).reshape(-1, 2) + 0.5) / 600
    points = shapely.points(at)
    given, wanted = (shapely.contains(shapely.union_all(side), points) for side in (answers, fields))
    assert found["area_over"] == pytest.approx((given & ~wanted).sum() / wanted.sum(), abs=0.01)
    assert found["area_under"] == pytest.approx((wanted & ~given).sum() / wanted.sum(), abs=0.01)
    assert found["area_ratio"] == pytest.approx(given.sum() / wanted.sum(), abs=0.01)
    counted = [sum(shapely.contains(one, points).sum() for one in side) for side in (answers, fields)]
    assert found["summed_area_ratio"] == pytest.approx(counted[0] / counted[1], abs=0.02)
    assert found["summed_area_ratio"] > found["area_ratio"]


def test_answers_where_nothing_grows_are_counted(make_row):
    answers = [field(0, 0, 0.5, 0.5), field(0.6, 0.6, 0.9, 0.9), field(0.4, 0, 0.8, 0.2)]
    assert scores(make_row("map_fields", [field(0, 0, 0.5, 0.5)], answers))["off_fields"] == pytest.approx(
        2 / 3
    )


def test_an_ignored_parcel_is_neither_missed_nor_wrongly_found(make_row):
    whole, cut = field(0, 0, 0.4, 0.4), field(0.9, 0, 1, 0.4)
    for answers in ([whole], [whole, cut], [whole, field(0.92, 0, 1, 0.1), field(0.92, 0.1, 1, 0.2)]):
        found = scores(make_row("map_fields", [whole, cut], answers, truth={"ignored": [1]}))
        assert (found["box_f1"], found["outline_f1"], found["area_over"], found["off_fields"]) == (1, 1, 0, 0)
        assert found["summed_area_ratio"] == pytest.approx(1)
    assert (
        scores(
            make_row("map_fields", [whole, cut], [whole, field(0.5, 0.5, 0.9, 1)], truth={"ignored": [1]})
        )["box_precision"]
        == 0.5
    )


def test_a_parcel_answered_twice_is_found_once(make_row):
    found = scores(make_row("map_crop", [field(0, 0, 0.5, 0.5)], [Box(0, 0, 0.5, 0.5)] * 3))
    assert (found["box_precision"], found["box_recall"]) == (pytest.approx(1 / 3), 1)
    assert (found["area_ratio"], found["summed_area_ratio"]) == (1, 3)


def test_boxes_and_outlines_are_told_apart(make_row):
    triangle = outline_part(shapely.Polygon([(0, 0), (0.8, 0), (0, 0.6)]))
    found = scores(make_row("map_fields", [triangle], [Box(0, 0, 0.8, 0.55)]))
    assert (found["box_f1"], found["outline_f1"]) == (1, 1)
    narrow = outline_part(shapely.Polygon([(0, 0), (0.8, 0.7), (0.8, 0.8), (0, 0.1)]))
    found = scores(make_row("map_fields", [narrow], [Box(0, 0, 0.8, 0.8)]))
    assert (found["box_f1"], found["outline_f1"]) == (1, 0)


def test_crops_that_are_not_there_are_refused_by_silence(make_row):
    rows = [
        make_row("map_absent_crop", ["none"], places, id=str(number))
        for number, places in enumerate(([], ["no maize"], [Box(0, 0, 1, 1)] * 4))
    ]
    assert scores(*rows) == {"refusal_rate": pytest.approx(2 / 3), "places": pytest.approx(4 / 3)}


@pytest.mark.parametrize(
    "outline",
    [
        shapely.box(0, 0, 1, 1)
        .difference(shapely.box(0.2, 0.2, 0.4, 0.4))
        .difference(shapely.box(0.6, 0.1, 0.9, 0.9)),
        shapely.union_all(
            [shapely.box(0, 0, 0.2, 0.2), shapely.box(0.5, 0.5, 0.9, 0.8), shapely.box(0.3, 0, 0.4, 1)]
        ),
        shapely.Point(0.5, 0.5).buffer(0.3).difference(shapely.Point(0.5, 0.5).buffer(0.1)),
    ],
)
def test_holes_and_pieces_survive_as_one_part(make_row, outline):
    read = map_objects(make_row("map_fields", [outline_part(outline)], [])).wanted[0]
    assert read.symmetric_difference(outline).area < 1e-12
    with pytest.raises(ValueError, match="LineString"):
        outline_part(shapely.LineString([(0, 0), (1, 1)]))


def test_maps_weigh_by_what_they_hold_and_intervals_are_over_scenes(make_row):
    whole = [field(0, 0, 0.5, 0.5)]
    rows = [
        make_row("map_fields", whole * (number + 1), whole * (number % 3), id=str(number), scene=str(number))
        for number in range(8)
    ]
    found = score_tasks(rows)["map_fields"]["box_recall"]
    assert found.value == pytest.approx(sum(min(n + 1, n % 3) for n in range(8)) / sum(range(1, 9)))
    assert found.low < found.value < found.high
    assert found.scenes == 8


def test_what_predict_leaves_out_counts_in_average_precision_alone(make_row):
    fields = [field(0, 0, 0.4, 0.4), field(0.5, 0.5, 0.9, 0.9)]
    given = [*fields, field(0.5, 0, 0.9, 0.4)]
    meta = {"ranked": True, "least": 0.5}
    found = scores(make_row("map_fields", fields, given, confidence=(0.9, 0.4, 0.2), meta=meta))
    assert (found["box_precision"], found["box_recall"]) == (1, 0.5)
    assert (found["box_ap"], found["area_ratio"], found["off_fields"]) == (1, pytest.approx(0.5), 0)
    absent = make_row("map_absent_crop", ["none"], fields, confidence=(0.2, 0.4), meta=meta)
    assert scores(absent) == {"refusal_rate": 1, "places": 0}


def test_the_first_metric_stands_for_the_task():
    assert [kind[0].name for kind in MAP_METRICS.values()] == ["box_f1", "box_f1", "refusal_rate"]

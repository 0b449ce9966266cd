from types import SimpleNamespace

import pytest
import yaml

from agrilape.dataset.training_data import TaughtWith
from agrilape.errors import RecipeError
from agrilape.serve.training_questions import Training, training_of

RGB = ("red", "green", "blue")
CHECKPOINT = SimpleNamespace(processor=SimpleNamespace(image_processor=SimpleNamespace(size={"height": 96})))


def taught(name, gsd=None, composite="true_colour", chip=128, **tasks):
    return TaughtWith(name=name, tasks=tasks, chip=chip, composite=composite, gsd_m=gsd)


def asked(datasets, task, gsd, bands=RGB):
    return Training(tuple(datasets)).questions(CHECKPOINT, task, gsd, bands)


def test_the_data_set_that_taught_the_task_says_how_an_image_is_shown():
    data = [taught("stills", chip=64, field_boxes=5), taught("brazil", composite="ndvi", land_use_at_point=5)]
    assert asked(data, "field_boxes", 10.0).name == "stills"
    assert asked(data, "land_use_at_point", 10.0, ("ndvi",)).composite == "ndvi"


def test_of_several_that_counts_whose_pixels_are_nearest():
    data = [taught("fine", (0.9, 1.1), count=5), taught("coarse", (9.0, 11.0), count=1)]
    assert asked(data, "count", 8.0).name == "coarse"
    assert asked(data, "count", 2.0).name == "fine"
    assert asked(data, "count", 10.5).gsd == (9.0, 11.0)


def test_an_image_of_unknown_size_is_like_training_data_of_unknown_size():
    data = [taught("known", (2.5, 2.5), count=900), taught("pictures", chip=512, count=30)]
    assert asked(data, "count", None).name == "pictures"
    assert asked(data[:1], "count", None).name == "known"


def test_an_image_is_not_shown_in_bands_that_it_lacks():
    data = [taught("ndvi", (10.0, 10.0), composite="ndvi", count=9), taught("colour", (5.0, 5.0), count=1)]
    assert asked(data, "count", 10.0).name == "colour"


def test_of_equals_that_counts_that_asked_most():
    data = [
        taught("few", (10.0, 10.0), count=1),
        taught("many", (10.0, 10.0), count=9),
        taught("last", count=50),
    ]
    assert asked(data, "count", 10.0).name == "many"


def test_a_task_that_was_not_taught_is_said_to_be_none():
    assert not asked([taught("stills", count=1)], "field_boxes", 10.0).task
    assert asked([taught("stills", count=1)], "count", 10.0).task


def test_without_anything_known_the_input_of_the_model_counts():
    found = asked([], "count", 10.0)
    assert (found.side, found.name, found.task) == (96, None, True)


def test_what_is_wrong_in_a_recipe_is_named(tmp_path):
    stage = tmp_path / "stages" / "1-domain"
    stage.mkdir(parents=True)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"datasets": {"stills": {"chip": "large"}}}))
    with pytest.raises(RecipeError, match=r"datasets\.stills\.chip is large"):
        training_of(stage)

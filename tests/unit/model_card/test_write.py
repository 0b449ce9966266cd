"""The card and the STAC item of a checkpoint, through `write_card` and the commands."""

import json
import re

import pytest
import torch
from huggingface_hub import ModelCard, ModelCardData
from safetensors.torch import save_file
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.dataset.manifest import Origin
from agrilape.dataset.training_data import TaughtWith, TrainingData, write_training_data
from agrilape.errors import ModelError
from agrilape.model_card import write_card

STILLS = TaughtWith(
    name="danish", tasks={"crop_at_point": 900, "field_at_point": 40}, chip=64, gsd_m=(10.0, 10.0),
    composite="false_colour", crops={"maize": 400, "rye": 500},
    origins=(Origin(source="parcels", scenes=3, licence="CC-BY-4.0", citation="An agency | 2016"),),
)  # fmt: skip
SERIES = TaughtWith(name="seasons", tasks={"peak_of_season": 300}, chip=32, composite="ndvi", series=4)
PROCESSOR = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2], "rescale_factor": 1 / 255,
             "resample": 3, "size": {"height": 128, "width": 96}}  # fmt: skip
SCORE = {"value": 0.7, "low": 0.6, "high": 0.8, "n": 120, "scenes": 9}


@pytest.fixture
def checkpoint(tmp_path):
    """The last stage of a run that was evaluated; its recipe began with a model of the hub."""
    folder = tmp_path / "my run" / "stages" / "2-domain"
    folder.mkdir(parents=True)
    save_file({"lm_head.weight": torch.zeros(3, 4)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "llava"}')
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": PROCESSOR}))
    (folder / "stage.json").write_text('{"name": "domain", "steps": 70, "made_from": "x"}')
    (folder.parents[1] / "recipe.yaml").write_text("model: {path: some-lab/base-7b}\n")
    write_training_data(folder, TrainingData(datasets=(STILLS, SERIES)))
    evaluated(folder, "stages/2-domain")
    return folder


def evaluated(folder, checkpoint):
    at = folder.parents[1] / "evaluation" / "metrics.json"
    at.parent.mkdir(exist_ok=True)
    at.write_text(json.dumps({"checkpoint": checkpoint, "tasks": {"crop_at_point": {"accuracy": SCORE}}}))


def card_of(folder):
    return ModelCard.load(folder / "README.md")


def item_of(folder):
    return json.loads((folder / "stac-mlm.json").read_text())


def test_the_hub_reads_the_front_matter(checkpoint):
    write_card(checkpoint, "me/fields", licence="apache-2.0")
    data = card_of(checkpoint).data
    assert (data.license, data.base_model, data.library_name) == (
        "apache-2.0",
        "some-lab/base-7b",
        "agrilape",
    )
    assert data.pipeline_tag == "image-text-to-text"
    (result,) = data.eval_results
    assert (result.dataset_type, result.metric_type, result.metric_value) == (
        "agrilape/crop_at_point", "accuracy", 0.7
    )  # fmt: skip


def test_the_card_says_tasks_scores_sources_limits_and_how_to_use_it(checkpoint):
    write_card(checkpoint, "me/fields")
    text = card_of(checkpoint).text
    assert 'agrilape.Predictor("me/fields")' in text
    assert "| crop at point | what grows at a point | 900 |" in text
    assert "70.0 % (60.0 – 80.0)" in text
    assert "| danish | false colour (nir, red, green) | 10 | 64 px | one | 940 |" in text
    assert "| parcels | CC-BY-4.0 | An agency \\| 2016 |" in text
    assert "| seasons | not recorded | not recorded |" in text
    assert "Fewer than 100 training questions: field at point." in text
    assert "maize, rye" in text
    assert "No licence was stated" in text


def test_scores_of_another_stage_are_not_this_ones(checkpoint):
    evaluated(checkpoint, "stages/3-domain")
    write_card(checkpoint)
    assert card_of(checkpoint).data.eval_results is None
    assert "It was not evaluated" in card_of(checkpoint).text


@pytest.mark.parametrize("base", ["preset:nano:0", "/models/base", "../base", "shipped:nano", "stages/../x"])
def test_a_base_model_that_others_cannot_load_is_not_named(checkpoint, base):
    (checkpoint.parents[1] / "recipe.yaml").write_text(f"model: {{path: '{base}'}}\n")
    write_card(checkpoint)
    assert card_of(checkpoint).data.base_model is None
    assert base not in (checkpoint / "README.md").read_text()


def test_a_card_without_any_file_beside_the_weights_says_so(tmp_path):
    save_file({"lm_head.weight": torch.zeros(3, 4)}, tmp_path / "model.safetensors")
    write_card(tmp_path)
    text = card_of(tmp_path).text
    assert text.count("Not recorded") == 2
    assert "It was not evaluated" in text


def test_without_weights_there_is_no_card(tmp_path):
    with pytest.raises(ModelError, match="no weights"):
        write_card(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["README.md", "stac-mlm.json"])
def test_what_a_person_wrote_stays_until_asked(checkpoint, name, capsys):
    (checkpoint / name).write_text('{"mine": 1}')
    written = write_card(checkpoint)
    assert name not in [path.name for path in written]
    assert (checkpoint / name).read_text() == '{"mine": 1}'
    assert "--overwrite" in " ".join("".join(capsys.readouterr()).split())
    assert name in [path.name for path in write_card(checkpoint, overwrite=True)]


def test_the_empty_template_that_peft_leaves_is_nobodys(checkpoint):
    empty = ModelCard.from_template(ModelCardData(library_name="peft")).content
    card = checkpoint / "README.md"
    card.write_text(f"{empty.rstrip()}\n### Framework versions\n\n- PEFT 0.18.0\n")
    assert len(write_card(checkpoint)) == 2
    card.write_text(f"{empty}\nTrained by me.\n")
    assert card not in write_card(checkpoint)
    card.write_text(empty.replace("[More Information Needed]", "Me", 1))
    assert card not in write_card(checkpoint)


def test_its_own_files_are_written_anew(checkpoint):
    write_card(checkpoint)
    assert len(write_card(checkpoint, licence="mit")) == 2
    assert card_of(checkpoint).data.license == "mit"
    assert item_of(checkpoint)["properties"]["license"] == "mit"


def test_the_item_is_valid_stac(checkpoint):
    """By the schemas that pystac ships; no network is asked."""
    pystac = pytest.importorskip("pystac", reason="extra `cubes` is not installed")
    jsonschema = pytest.importorskip("jsonschema", reason="pystac validates with jsonschema")
    local = pytest.importorskip("pystac.validation.local_validator", reason="this pystac ships no schemas")
    from referencing import Registry, Resource

    write_card(checkpoint)
    content = item_of(checkpoint)
    schemas = local.get_local_schema_cache()
    registry = Registry().with_resources([(url, Resource.from_contents(one)) for url, one in schemas.items()])
    (schema,) = [one for url, one in schemas.items() if url.endswith("/item.json")]
    validator = jsonschema.Draft7Validator(schema, registry=registry)
    assert [error.message for error in validator.iter_errors(content)] == []
    assert list(validator.iter_errors({**content, "assets": None}))  # the schema does refuse
    assert pystac.Item.from_dict(content).id == "my-run"


def test_the_fields_of_the_model_extension_follow_its_specification(checkpoint):
    """Its JSON schema ships in no package: what it requires of each field is checked here."""
    mlm = pytest.importorskip("pystac.extensions.mlm", reason="pystac has no MLM extension before 1.12")
    import pystac

    write_card(checkpoint, "me/fields")
    item = pystac.Item.from_dict(item_of(checkpoint))
    model = mlm.MLMExtension.ext(item)
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]+[a-zA-Z0-9]", model.mlm_name)
    assert set(model.tasks) == {"classification", "object-detection", "regression", "generative"}
    assert set(model.tasks) <= set(mlm.TaskType)
    stills, series = model.input
    assert [band.name for band in stills.bands] == ["nir", "red", "green"]
    assert (stills.input.shape, series.input.shape) == ([-1, 3, 128, 96], [-1, 4, 3, 128, 96])
    for shown in model.input:
        assert len(shown.input.dim_order) == len(shown.input.shape)
        assert shown.resize_type == mlm.ResizeType.INTERPOLATION_CUBIC
    assert model.output[0].result.dim_order == ["batch", "token"]
    assert model.total_parameters == 12
    weights = mlm.AssetGeneralMLMExtension.ext(item.assets["model"])
    assert weights.artifact_type
    assert "mlm:model" in item.assets["model"].roles
    assert re.fullmatch(r"\d+\.\d+\.\d+", model.framework_version)
    named = {band["name"] for band in item.assets["model"].extra_fields["bands"]}
    assert item.properties["bands"] == item.assets["model"].extra_fields["bands"]
    assert {band.name for shown in model.input for band in shown.bands} <= named


def test_scaling_holds_for_values_before_they_are_rescaled(checkpoint):
    """(x / 255 - mean) / std is (x - 255 mean) / (255 std)."""
    write_card(checkpoint)
    scaling = item_of(checkpoint)["properties"]["mlm:input"][0]["value_scaling"]
    assert [one["mean"] for one in scaling] == pytest.approx([127.5, 102.0, 76.5])
    assert [one["stddev"] for one in scaling] == pytest.approx([127.5, 63.75, 51.0])


def test_what_the_extension_has_no_field_for_is_said_beside_it(checkpoint):
    write_card(checkpoint)
    properties = item_of(checkpoint)["properties"]
    assert properties["gsd"] == 10.0
    stills, series = properties["agrilape:training_data"]
    assert (stills["tile_px"], stills["gsd_m"], stills["licences"]) == (64, [10.0, 10.0], ["CC-BY-4.0"])
    assert (series["bands"], series["dates"]) == (["nir", "red"], 4)


def test_the_command_takes_a_run(checkpoint):
    said = CliRunner().invoke(app, ["card", str(checkpoint.parents[1]), "--license", "mit"])
    assert said.exit_code == 0, said.output
    assert card_of(checkpoint).data.license == "mit"

"""lmms-eval itself, where it is installed: our model on our tasks, and on a task that is not ours.

`docs/evaluation.md` says how to install it next to a torch without torchvision.
"""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.config.load import dump_recipe
from agrilape.evaluate import evaluate_run

from .evaluate_case import EXAMPLES, make_run, recipe

pytestmark = pytest.mark.timeout(900)
evaluator = pytest.importorskip("lmms_eval.evaluator", reason="lmms-eval is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("harness"))
    dump_recipe(recipe(folder), folder / "recipe.yaml")
    return folder


def measure(run, names, folder):
    from lmms_eval.tasks import TaskManager

    os.environ["LMMS_EVAL_DATASETS_CACHE"] = str(folder / "cache")
    return evaluator.simple_evaluate(
        model="agrilape", model_args=f"checkpoint={run},batch_size=5", tasks=names,
        task_manager=TaskManager("ERROR", include_path=str(folder), include_defaults=False),
        log_samples=True, bootstrap_iters=0,
    )  # fmt: skip


def test_the_entry_point_names_our_model():
    from lmms_eval.models import get_model

    assert get_model("agrilape").__module__ == "agrilape.evaluate.harness.model"


def test_our_tasks_score_in_the_harness_as_in_an_evaluation(run):
    done = CliRunner().invoke(app, ["export", str(run), "--format", "lmms"])
    assert done.exit_code == 0, done.output
    found = measure(run, ["agrilape_test"], run / "evaluation" / "lmms")["results"]
    expected = evaluate_run(recipe(run), run)["tasks"]
    for task, scores in expected.items():
        for name, score in scores.items():
            assert found[f"agrilape_test_{task}"][f"{name},none"] == pytest.approx(score["value"], abs=1e-5)


def test_a_task_of_others_is_answered_about_its_image(run, tmp_path):
    images = [{"bytes": example.chip.pictures[0].data} for example in EXAMPLES[1:4]]
    pq.write_table(
        pa.table({"image": images, "question": ["What is this?"] * 3, "answer": ["noise"] * 3}),
        tmp_path / "vqa.parquet",
    )
    (tmp_path / "utils.py").write_text(
        "import io\nfrom PIL import Image\n"
        "def images(doc):\n    return [Image.open(io.BytesIO(doc['image']['bytes'])).convert('RGB')]\n"
    )
    (tmp_path / "others_vqa.yaml").write_text(
        "task: others_vqa\ndataset_path: parquet\ntest_split: test\noutput_type: generate_until\n"
        f"dataset_kwargs: {{data_files: {{test: {json.dumps(str(tmp_path / 'vqa.parquet'))}}}}}\n"
        "doc_to_visual: !function utils.images\ndoc_to_text: question\ndoc_to_target: answer\n"
        "generation_kwargs: {max_new_tokens: 4, until: []}\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
    )
    samples = measure(run, ["others_vqa"], tmp_path)["samples"]["others_vqa"]
    assert len(samples) == 3
    assert all(isinstance(sample["filtered_resps"][0], str) for sample in samples)

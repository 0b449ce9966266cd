"""Runs beside each other."""

import json
import re
import shutil

import pytest

from agrilape.errors import DataError
from agrilape.evaluate.metrics.intervals import holm
from agrilape.report import write_markdown, write_report
from agrilape.report.comparison import compare_runs


def rewrite(run, change):
    path = run / "evaluation" / "predictions.jsonl"
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row))


@pytest.fixture
def runs(run_folder, tmp_path):
    """A run that answers everything rightly, and the same run that names every crop wrongly."""
    good, bad = (shutil.copytree(run_folder, tmp_path / name) for name in ("good", "bad"))

    def spread(row):
        number = int(row["id"].rsplit("/", 1)[1])
        return {**row, "scene": f"scene_{number}"}

    rewrite(good, lambda row: spread({**row, "prediction": row["answer"]}))
    wrong = {"crop_in_box": ["no crop"]}
    rewrite(bad, lambda row: spread({**row, "prediction": wrong.get(row["task"], row["answer"])}))
    return good, bad


def test_a_difference_counts_if_it_is_significant_among_all_tasks(runs):
    (found,) = compare_runs(runs[0], [runs[1]])
    tasks = {row.task: row for row in found.tasks}
    assert (found.shared, found.left_out) == (54, 0)
    crops = tasks["crop_in_box"]
    assert (crops.own, crops.other, crops.gain.value, crops.outcome) == (1, 0, 1, "better")
    # Nine scenes: of 512 exchanges two are as extreme; six tasks.
    assert crops.p == pytest.approx(6 * 2 / 512)
    assert tasks["peak_of_season"].outcome == "similar"
    (turned,) = compare_runs(runs[1], [runs[0]])
    assert [row.outcome for row in turned.tasks if row.task == "crop_in_box"] == ["worse"]


def test_samples_of_only_one_run_are_left_out_and_said(runs):
    rewrite(runs[1], lambda row: row if row["task"] != "peak_of_season" else None)
    (found,) = compare_runs(runs[0], [runs[1]])
    assert (found.shared, found.left_out) == (45, 9)
    assert "peak_of_season" not in {row.task for row in found.tasks}


def test_the_page_and_the_markdown_show_it(runs, tmp_path):
    page = write_report(runs[0], [runs[1]], tmp_path / "docs" / "page.html").read_text()
    assert "good against bad" in page
    assert "+100.0 points (+100.0 to +100.0)" in page
    text = write_markdown(runs[0], [runs[1]], tmp_path / "docs" / "kits.md").read_text()
    assert "| crop in box | accuracy | 100.0 % | 0.0 % | +100.0 points" in text
    assert not (runs[0] / "report.md").exists()


def test_rows_of_any_other_model_are_a_run_too(runs, tmp_path):
    """A file of whole rows, and one of ids and answers only, of some samples."""
    (expected,) = compare_runs(runs[0], [runs[1]])
    theirs = runs[1] / "evaluation" / "predictions.jsonl"
    (whole,) = compare_runs(runs[0], [theirs])
    assert (whole.name, whole.tasks) == ("bad", expected.tasks)
    rows = [json.loads(line) for line in theirs.read_text().splitlines()]
    few = [
        {"id": row["id"], "prediction": row["prediction"]} for row in rows if row["task"] != "peak_of_season"
    ]
    path = tmp_path / "other_model.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in few))
    (found,) = compare_runs(runs[0], [path])
    assert (found.name, found.shared, found.left_out) == ("other_model", 45, 9)
    assert {row.task: row.other for row in found.tasks}["crop_in_box"] == 0
    with pytest.raises(DataError, match=r"no\.jsonl"):
        compare_runs(runs[0], [tmp_path / "no.jsonl"])


def test_another_model_stands_in_the_table_of_scores(runs, tmp_path):
    page = write_report(runs[0], [runs[1]], tmp_path / "page.html").read_text()
    table = page[page.index("<h3>Crop in box") :].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr[^>]*><th>(.*?)</th>\s*<td>\s*<b>(.*?)</b>", table, re.DOTALL)
    assert [name for name, _ in rows] == ["model", "bad", "majority"]
    assert rows[1][1] == "0.0 %"


def test_holm_by_hand():
    assert holm([0.01, None, 0.04, 0.03]) == [0.03, None, 0.06, 0.06]
    assert holm([0.9, 0.8]) == [1.0, 1.0]

"""What `agrilape data` says of a prepared folder, and what it says of one that was tampered with."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.integrity import check_data_set
from agrilape.dataset.manifest import hash_file, read_store
from agrilape.errors import DataError
from agrilape.prepare.formats import FORMATS, WRITERS, SkippedRows
from agrilape.prepare.from_scenes import prepare_dataset

SETTINGS = {
    "source": {"kind": "simulate", "scenes": 2, "size": 128, "dates": 6},
    "tasks": ["field_at_point", "crop_in_box", "growing_season"],
    "chip": 64,
    "series": 4,
    "split": (0.5, 0, 0.5),
}


def prepare(folder):
    return prepare_dataset("sim", DatasetConfig.model_validate(SETTINGS), folder / "sim", folder, 1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare(folder)
    return folder / "sim"


@pytest.fixture
def copy(prepared, tmp_path):
    """A copy that may be spoilt, and a way to change its rows and what the manifest says of them."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in prepared.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def change_rows(folder, change, shard="train-00000.parquet"):
    table = pq.read_table(folder / shard)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / shard)
    change_manifest(folder, lambda facts: next(s for s in facts["shards"] if s["path"] == shard).update(
        sha256=hash_file(folder / shard), bytes=(folder / shard).stat().st_size))  # fmt: skip


def change_manifest(folder, change):
    path = folder / "manifest.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))


def problems(folder):
    return [f"{one.where}: {one.problem}" for one in check_data_set(folder)]


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_a_prepared_folder_is_sound_and_so_is_the_run_around_it(prepared):
    assert run("check", prepared).exit_code == 0
    done = run("check", prepared.parent, "--json")
    assert json.loads(done.stdout) == {str(prepared): []}
    empty = prepared.parent / "empty"
    empty.mkdir()
    with pytest.raises(Exception, match="no prepared data set"):
        CliRunner().invoke(app, ["data", "check", str(empty)], catch_exceptions=False)


def sample_of(rows, key, value):
    for row in rows:
        for sample in row["samples"]:
            if "box" in sample["answer"]:
                sample[key] = value
                return


def spoil_picture(rows):
    rows[0]["images"][0]["bytes"] = b"not a picture"


def resize_a_picture(rows):
    buffer = io.BytesIO()
    Image.new("RGB", (32, 64)).save(buffer, "PNG")
    rows[0]["images"][-1]["bytes"] = buffer.getvalue()


def swap_dates(rows):
    rows[0]["acquired"][:2] = rows[0]["acquired"][1::-1]


def repeat_a_chip(rows):
    rows[1]["id"] = rows[0]["id"]


ROWS = {
    "a coordinate outside 0-1": lambda rows: sample_of(rows, "answer", '[{"box":[0.1,0.1,0.5,1.2]}]'),
    "a reversed box": lambda rows: sample_of(rows, "answer", '[{"box":[0.5,0.1,0.2,0.3]}]'),
    "a coordinate outside 0-1 in the question": lambda rows: sample_of(
        rows, "question", '[{"point":[NaN,0]}]'
    ),
    "a reversed span": lambda rows: sample_of(rows, "answer", '[{"span":[0.9,0.1]}]'),
    "an empty question": lambda rows: sample_of(rows, "question", '[" "]'),
    "neither a text nor a place": lambda rows: sample_of(rows, "answer", '[{"circle":[0.5,0.5]}]'),
    "a picture cannot be read": spoil_picture,
    "has pictures of several sizes": resize_a_picture,
    "has pictures out of order in time": swap_dates,
    "has a picture from outside its calendar": lambda rows: rows[0]["acquired"].__setitem__(-1, "2031-05-03"),
    "the chip has no calendar": lambda rows: [row.update(window="null") for row in rows],
    "chip id stands 2 times": repeat_a_chip,
    "has no question": lambda rows: rows[0]["samples"].clear(),
    "the files hold": lambda rows: rows[0]["samples"].pop(),
}


@pytest.mark.parametrize("said", ROWS)
def test_wrong_rows_are_found(copy, said):
    change_rows(copy, ROWS[said])
    assert any(said in problem for problem in problems(copy)), problems(copy)


@pytest.mark.parametrize("column", ["window", "meta", "acquired", "samples", "id"])
def test_an_empty_cell_is_named_and_hides_no_other_row(copy, column):
    """What is unknown is written as the JSON text `null`."""

    def empty(rows):
        rows[1][column] = None
        spoil_picture(rows)

    change_rows(copy, empty)
    said = problems(copy)
    assert any(f"train-00000.parquet: row 2: cannot be read: column {column} of chip" in one for one in said)
    assert any("a picture cannot be read" in one for one in said), "row 1 was looked at, too"


def test_an_empty_cell_of_a_question_or_picture_is_named(copy):
    def empty(rows):
        rows[0]["samples"][0]["answer"] = None
        rows[1]["images"][0]["bytes"] = None

    change_rows(copy, empty)
    said = "\n".join(problems(copy))
    assert "row 1: cannot be read: column samples.answer of chip" in said
    assert "row 2: cannot be read: column images.bytes of chip" in said
    with pytest.raises(DataError, match=r"column samples\.answer of chip .* is null"):
        read_store(copy, "train")[0]


def test_a_chip_that_is_not_counted_is_found(copy):
    """Though the samples of each task agree."""
    change_rows(copy, lambda rows: rows.append(rows[0] | {"id": "another", "samples": []}))
    said = problems(copy)
    assert any("chips, not" in problem for problem in said)
    assert any("says" in problem and "the files hold" in problem for problem in said)


def test_a_folder_that_is_none_is_said_as_such(tmp_path):
    (tmp_path / "recipe.yaml").touch()
    for name in ("nowhere", "recipe.yaml"):
        done = run("stats", tmp_path / name, "--model", "no/such")
        assert f"{name} is not a folder" in str(done.exception)


def test_a_wrong_folder_is_found(copy, prepared, tmp_path):
    shard = copy / "train-00000.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    assert problems(copy) == [f"{shard}: differs from its hash in the manifest"] + [
        problem for problem in problems(copy) if "the files hold" in problem
    ]
    done = run("check", copy)
    assert done.exit_code == 1
    assert "wrong" in done.output

    elsewhere = tmp_path / "elsewhere.parquet"
    elsewhere.write_bytes(whole)
    shard.unlink()
    shard.symlink_to(elsewhere)
    assert any("leads out of its folder" in problem for problem in problems(copy))
    shard.unlink()
    assert any("missing or incomplete" in problem for problem in problems(copy))
    shard.write_bytes(whole)
    (copy / "stray.parquet").write_bytes(whole)
    assert problems(copy) == [f"{copy / 'stray.parquet'}: is not listed in the manifest"]


def test_a_manifest_that_points_outside_its_folder_is_refused(copy):
    change_manifest(copy, lambda facts: facts["shards"][0].update(path="../train-00000.parquet"))
    assert "a shard lies beside its manifest" in problems(copy)[0]


def test_another_schema_is_found(copy):
    shard = copy / "train-00000.parquet"
    pq.write_table(pq.read_table(shard).drop_columns(["meta"]), shard)
    change_rows(copy, lambda rows: None)
    assert any("another schema" in problem for problem in problems(copy))


def test_a_leak_between_splits_is_found(copy):
    train = pq.read_table(copy / "train-00000.parquet").to_pylist()

    def same_picture(rows):
        rows[0]["images"][0] = train[0]["images"][0]

    change_rows(copy, same_picture, "test-00000.parquet")
    assert any("share the same picture" in problem for problem in problems(copy))


def test_stats_add_up(prepared):
    (stats,) = json.loads(run("stats", prepared, "--json").stdout)
    assert set(stats["tasks"]) == set(SETTINGS["tasks"])
    for split, counts in stats["splits"].items():
        assert sum(task["samples"].get(split, 0) for task in stats["tasks"].values()) == counts["samples"]
        assert {name: task["samples"][split] for name, task in stats["tasks"].items()} == counts["tasks"]
    assert sum(stats["crops"].values()) == pytest.approx(1)
    assert sum(stats["sizes"].values()) == pytest.approx(1)
    assert stats["tasks"]["growing_season"]["tokens"] is None
    printed = run("stats", prepared).stdout
    assert "field_at_point" in printed
    assert "tokens" not in printed.splitlines()[0], "no column for what is not counted"


def test_stats_count_tokens_as_a_model_reads_them(prepared):
    (stats,) = json.loads(run("stats", prepared, "--model", "nano", "--json").stdout)
    box, span = (stats["tasks"][name] for name in ("field_at_point", "growing_season"))
    assert box["answer_tokens"] > 4  # four edges and the end
    assert span["answer_tokens"] > 2
    assert span["tokens"] == pytest.approx(
        sum(span["samples"].values()) * (span["question_tokens"] + span["answer_tokens"])
    )


def test_the_sheet_draws_every_kind_and_needs_no_network(prepared, tmp_path):
    page = tmp_path / "sheet.html"
    assert run("show", prepared, "-o", page, "--per-task", "2").exit_code == 0
    html = page.read_text()
    assert html.count("<figure>") == 2 * len(SETTINGS["tasks"])
    assert html.count('<polygon class="true"') >= 2  # answered boxes
    assert html.count('<circle class="asked"') >= 2  # points in questions
    assert html.count('class="shown"') >= 4  # dates of pictures
    assert html.count('class="true" style="left:') == 2  # answered spans
    assert "http" not in html.replace("http-equiv", "")


def test_the_sheet_can_be_a_picture_of_one_task(prepared, tmp_path):
    assert run("show", prepared, "-o", tmp_path / "a.png", "--task", "field_at_point").exit_code == 0
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3)
    for colour in ((0, 166, 214), (255, 212, 0)):  # answered, asked
        assert (pixels == colour).all(1).sum() > 20
    wrong = run("show", prepared, "-o", tmp_path / "a.gif")
    assert "use .html or .png" in str(wrong.exception)
    assert "choose among the tasks" in str(run("show", prepared, "--task", "nothing").exception)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_split_is_exported_and_reads_back(prepared, tmp_path, name):
    stills = SETTINGS | {"series": 0, "tasks": ["crop_boxes", "crop_in_box", "field_at_point", "count"]}
    prepare_dataset("stills", DatasetConfig.model_validate(stills), tmp_path / "in", prepared.parent, 1)
    done = run("export", tmp_path / "in", "--to", name, "--split", "test", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    examples = list(FORMATS[name](tmp_path / "out", SkippedRows()))
    ours = list(read_store(tmp_path / "in", "test"))
    assert [one.chip.pictures for one in examples] == [one.chip.pictures for one in ours]
    asked = sum(len(one.samples) for one in ours)
    missing = 0 if name == "llava" else sum(s.task == "field_at_point" for one in ours for s in one.samples)
    assert sum(len(one.samples) for one in examples) == asked - missing
    assert ("no sign for a point" in done.output) == (missing > 0)
    again = run("export", tmp_path / "in", "--to", name, "-o", tmp_path / "out")
    assert again.exit_code == 1


def test_an_unknown_format_brings_up_the_nearest(prepared, tmp_path):
    done = run("export", prepared, "--to", "geochad", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "did you mean 'geochat'?" in str(done.exception)

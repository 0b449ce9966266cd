import io
import json
import re

from rich.console import Console
from rich.text import Text

from agrilape import console
from agrilape.train.log import StageLog, read_rows


def rows(*steps):
    return [{"step": step, "loss": 1.0 / step, "mixture": {"words": 1.0}} for step in steps]


def test_rows_are_kept_up_to_the_resumed_step(tmp_path) -> None:
    path, advanced = tmp_path / "log.jsonl", []

    def track(advance=1, note=""):
        advanced.append((advance, note))

    with StageLog(path, 0, track) as log:
        log.write(rows(1, 2, 3))
        log.write(rows(4))
    with StageLog(path, 2, track) as log:
        assert [row["step"] for row in read_rows(path)] == [1, 2]
        log.write(rows(3, 4))
    assert read_rows(path) == rows(1, 2, 3, 4)
    assert advanced == [(3, "loss 0.333"), (1, "loss 0.250"), (2, "loss 0.250")]
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_line_for_people_shows_where_training_stands(tmp_path, monkeypatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=160)
    monkeypatch.setattr(console, "err", terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with console.progress("stage 2/3 warm", 40, "steps") as track, StageLog(tmp_path / "l", 0, track) as log:
        log.write([{**row, "position_accuracy": 0.25, "coordinate_error": 3.5} for row in rows(1, 2)])
    shown = Text.from_ansi(screen.getvalue()).plain
    assert "stage 2/3 warm" in shown
    assert "2/40" in shown
    assert re.search(r"[\d.]+ steps/s", shown)
    assert re.search(r"\d:\d\d:\d\d|-:--:--", shown)
    assert "loss 0.500, positions 25% (off 3.5 bins)" in shown


def test_tensorboard_is_left_out_where_the_recipe_does_not_name_it(tmp_path) -> None:
    with StageLog(tmp_path / "log.jsonl", 0, lambda advance=1, note="": None, board=False) as log:
        log.write(rows(1))
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_torn_last_line_is_left_out(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(rows(1)[0]) + "\n" + '{"step": 2, "lo')
    assert read_rows(path) == rows(1)
    assert read_rows(tmp_path / "absent.jsonl") == []


def test_processes_beside_the_main_one_write_nothing(tmp_path) -> None:
    with StageLog(tmp_path / "log.jsonl", 0, lambda advance=1, note="": None, active=False) as log:
        log.write(rows(1))
    assert list(tmp_path.iterdir()) == []

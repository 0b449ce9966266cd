"""The command line: help, exact counts, errors without a traceback."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
import typer
from rich.text import Text

from agrilape import __version__
from agrilape.cli.app import app
from agrilape.cli.tables import print_facts, print_scores
from agrilape.config import load_recipe
from agrilape.config.load import shipped_recipes
from agrilape.errors import RecipeError
from agrilape.pipeline import prepare_run, run_recipe, train_run


def run(*arguments, module=False):
    command = (
        [sys.executable, "-m", "agrilape"]
        if module
        else [sys.executable, "-c", "from agrilape.cli import main; main()"]
    )
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)


def test_parameter_counts_are_exact():
    counts = ("--num-spatial-tokens", "100", "--num-temporal-tokens", "100")
    facts = json.loads(run("inspect", "--hidden-size", "4096", *counts, "--json").stdout)
    assert facts["total"] == 2_457_600
    assert len(facts["tables"]) == 6
    assert set(facts["tables"].values()) == {409_600}


def test_module_equals_command():
    assert run("--version", module=True).stdout == run("--version").stdout == f"agrilape {__version__}\n"


def test_a_dry_run_says_which_stage_will_not_fit_on_a_gpu(tmp_path):
    dry = ("train", "quickstart", "--dry-run", "--set", f"output={tmp_path}")
    small, large = run(*dry, "--gpu", "0.5GB"), run(*dry, "--gpu", "24 GiB")
    assert (small.returncode, large.returncode) == (0, 0)
    for stage in ("align", "lape_warmup", "domain"):
        assert f"stage {stage} will not fit" in small.stdout + small.stderr
    assert "will not fit" not in large.stdout + large.stderr
    for wrong in (("--gpu", "H100"), ("--gpu", "0")):
        refused = run(*dry, *wrong)
        assert refused.returncode == 1
        assert "24GB" in refused.stderr + refused.stdout
    assert run("train", "quickstart", "--gpu", "24GB").returncode == 1


@pytest.mark.skipif(find_spec("wandb") is not None, reason="the logger is there")
def test_a_dry_run_says_which_logger_is_missing_and_what_its_time_leaves_out(tmp_path):
    done = run(
        "train", "quickstart", "--dry-run", "--output", str(tmp_path / "run"), "--set", "report_to=wandb"
    )
    assert done.returncode == 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "evaluation and the report come on top" in said
    assert "report_to names wandb, which is not installed: pip install wandb" in said


COMMANDS = (
    "quickstart simulate prepare train evaluate predict serve mcp "
    "report inspect merge parity score export data ablate"
)


@pytest.mark.parametrize("command", COMMANDS.split())
def test_every_command_has_help(command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_parity_compares_every_formula_and_passes():
    done = run("parity", "--json")
    checks = json.loads(done.stdout)["checks"]
    assert done.returncode == 0
    assert len(checks) == 6
    assert all(check["passed"] and 0 <= check["difference"] < 1e-10 for check in checks)


def test_parity_fails_when_a_formula_differs():
    code = (
        "import sys, torch; from agrilape.model.lape import Lape; inject = Lape.injection\n"
        "Lape.injection = lambda *a: inject(*a) * (1 + 1e-6)\n"
        "sys.argv[1:] = ['parity']; from agrilape.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.count("differs") == 1


def test_public_names_are_imported_on_first_use():
    code = (
        "import sys, agrilape; assert 'torch' not in sys.modules\n"
        "assert all(callable(getattr(agrilape, name)) for name in agrilape.__all__)\n"
        "assert set(agrilape.__all__) <= set(dir(agrilape)) and not hasattr(agrilape, 'nothing')"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_help_is_quick_because_it_imports_no_torch():
    code = "import sys, agrilape.cli; assert not {'torch', 'transformers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "no_such_recipe"], "no recipe"),
        (["inspect"], "nothing to inspect"),
        (["report", "nowhere", "--format", "pdf"], "no report format"),
        (["inspect", "nowhere"], "holds no checkpoint"),
        (["simulate", __file__], "File exists"),
    ],
)
def test_errors_have_a_remedy_and_no_traceback(arguments, said):
    done = run(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "->" in done.stderr
    assert "Traceback" not in done.stderr


def test_numbers_that_cannot_be_are_refused_with_the_option_named():
    for arguments in (
        ["simulate", "x", "--gsd", "0"],
        ["inspect", "--hidden-size", "8", "--num-spatial-tokens", "1"],
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert arguments[-2] in done.stderr
        assert "Traceback" not in done.stderr


def test_facts_are_printed_for_people(capsys):
    print_facts({"tied": False, "base": None, "tables": {"height_in": [100, 4096]}, "total": 409600})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["tied", "no"], ["base", "–"], ["tables"], ["height_in", "100", "x", "4096"], ["total", "409,600"],
    ]  # fmt: skip


def test_scores_are_printed_beside_the_baseline_to_beat(capsys):
    score = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 40}
    print_scores({
        "tasks": {"field_at_point": {"miou": score}, "count": {"exact": {"value": 0.25, "n": 40}}},
        "baselines": {"mean_box": {"field_at_point": {"miou": {"value": 0.4, "n": 40}}}},
        "versus_baseline": {
            "field_at_point": {**score, "metric": "miou", "baseline": "mean_box", "low": 0.1, "p": 0.01}
        },
        "parse_failures": {"total": {"count": 3, "n": 80}},
    })  # fmt: skip
    said = capsys.readouterr().out
    assert "60.0 % (50.0 to 70.0)" in said
    assert "40.0 % mean box" in said
    assert "better" in said.splitlines()[1]
    assert "25.0 %" in said
    assert "3 of 80" in said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("evaluation.tasks=[crop_bxo]", "evaluation.tasks names the unknown task 'crop_bxo'"),
        ("stages.domain.mixture.fields.tasks=[crop_bxo]", "stages.domain.mixture.fields.tasks names"),
        (
            "datasets.single_date.tasks=[crop_bxo]",
            "datasets.single_date.tasks names the unknown task 'crop_bxo'",
        ),
    ],
)
def test_a_misspelt_task_is_refused_before_anything_is_made(tmp_path, setting, said):
    with pytest.raises(RecipeError) as caught:
        prepare_run(load_recipe("quickstart", [setting, f"output={tmp_path / 'run'}"]))
    assert said in str(caught.value)
    assert "did you mean 'crop_box'?" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_misspelt_suite_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(RecipeError, match=r"no suite 'agry'\n.*did you mean 'agri'"):
        run_recipe(load_recipe("quickstart", ["evaluation.suite=agry", f"output={tmp_path / 'run'}"]))
    assert not (tmp_path / "run").exists()


def test_a_stage_that_ends_before_lape_is_warm_is_warned_of(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agrilape.train.train_recipe", lambda *given, **more: [])
    short = ["stages.lape_warmup.steps=20", f"output={tmp_path}"]
    train_run(load_recipe("quickstart", short))
    assert "stage lape_warmup: its 20 steps end before LAPE's warm-up of 30" in capsys.readouterr().err
    train_run(load_recipe("quickstart", [*short, "lape_warmup_steps=10"]))
    assert capsys.readouterr().err == ""


def test_help_loses_no_words_in_brackets():
    """Typer takes help for rich's markup: whatever is in brackets must be its bold, or be escaped."""

    def texts(command):
        yield command.help or ""
        for parameter in command.params:
            yield getattr(parameter, "help", None) or ""
        for inner in getattr(command, "commands", {}).values():
            yield from texts(inner)

    found = list(texts(typer.main.get_command(app)))
    assert len(found) > 100
    for text in found:
        plain = text.replace("[bold]", "").replace("[/]", "")
        assert Text.from_markup(text).plain == plain.replace("\\[", "[")


@pytest.mark.parametrize("command", ["prepare", "train"])
def test_help_names_every_recipe_that_ships(command) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "agrilape", command, "--help"], capture_output=True, text=True
    )
    assert all(name in shown.stdout for name in shipped_recipes())

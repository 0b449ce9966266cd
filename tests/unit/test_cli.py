"""The command line: help, exact counts, errors without a traceback."""

import json
import subprocess
import sys

import pytest

from agrilape import __version__


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


COMMANDS = "quickstart simulate prepare train evaluate predict report inspect merge parity"


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
    ],
)
def test_errors_have_a_remedy_and_no_traceback(arguments, said):
    done = run(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "->" in done.stderr
    assert "Traceback" not in done.stderr

"""Studies run where nothing is installed that prepares data, draws maps, or watches training."""

import subprocess
import sys

ABSENT = (
    "rasterio", "geopandas", "pyogrio", "pyproj", "pandas", "datasets", "xarray", "tensorboard",
    "matplotlib", "peft", "optuna", "distributed", "sklearn", "sacrebleu", "rouge_score",
)  # fmt: skip


def test_a_run_imports_no_library_that_only_prepares_or_draws():
    blocked = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))"
    needed = "import agrilape.cli, agrilape.study.single_run, agrilape.study.runner"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked}; {needed}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

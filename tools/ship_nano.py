"""Put a trained `nano` run into the package, as the model that `agrilape predict` asks when none is named.

    agrilape prepare nano && agrilape train nano        # after python tools/make_kits.py
    agrilape evaluate nano
    python tools/ship_nano.py runs/nano

Of the run, the recipe and the last stage are taken, its base model in half precision, which halves the size
and changes no answer that could be noticed; the model card gets the scores of the evaluation.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from agrilape.config import recipe_file
from agrilape.files import whole_folder
from agrilape.model import find_checkpoint
from agrilape.report import write_markdown
from agrilape.serve import SHIPPED

LARGEST = 15_000_000  # bytes of all files
NOT_NEEDED = ("log.jsonl", "curve.jsonl", "stability.json", "stage.json", "tensorboard", "resume")
CARD = Path(__file__).with_name("nano_card.md")


def main() -> None:
    """Copy what is needed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of an evaluated run of recipes/nano.yaml")
    parser.add_argument("--output", type=Path, default=SHIPPED)
    options = parser.parse_args()
    checkpoint = find_checkpoint(options.run)
    with whole_folder(options.output) as draft:
        stage = draft / "stages" / checkpoint.name
        shutil.copytree(checkpoint, stage, ignore=shutil.ignore_patterns(*NOT_NEEDED))
        halve(stage / "model.safetensors")
        shutil.copy(recipe_file(options.run), draft / "recipe.yaml")
        (draft / "README.md").write_text(CARD.read_text() + scores(options.run))
        size = sum(path.stat().st_size for path in draft.rglob("*") if path.is_file())
        if size > LARGEST:
            raise SystemExit(f"{size:,} bytes are more than the {LARGEST:,} that a package should carry")
    print(f"{options.output}: {size / 1e6:.1f} MB")


def halve(path: Path) -> None:
    """Keep weights in half precision; the configuration still says float32, in which they are loaded."""
    tensors = load_file(path)
    halved = {name: one.half() if one.dtype == torch.float32 else one for name, one in tensors.items()}
    save_file(halved, path, metadata={"format": "pt"})


def scores(run: Path) -> str:
    """The report of the run's evaluation, its headings one level down."""
    with tempfile.TemporaryDirectory() as folder:
        page = write_markdown(run, output=Path(folder) / "report.md")
        return page.read_text().replace("# ", "## ", 1)


if __name__ == "__main__":
    main()

"""Commands that make checkpoints of agrilape from those of other projects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agrilape.console import say, warn
from agrilape.files import require_replaceable
from agrilape.locks import output_locked

commands = typer.Typer()
group = typer.Typer(help="Make a checkpoint of agrilape from another project's.", no_args_is_help=True)
commands.add_typer(group, name="import", rich_help_panel="Look inside")


@group.command("llava-st")
def llava_st(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a released LLaVA-ST.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder for the checkpoint.")],
    base: Annotated[
        str,
        typer.Option(
            help="The LLaVA-OneVision of transformers that it was trained from, folder or hub id: gives the "
            "processor and every weight that FOLDER does not hold."
        ),
    ] = "llava-hf/llava-onevision-qwen2-7b-ov-hf",
) -> None:
    """A LLaVA-ST release as LLaVA-OneVision with LAPE: its six tables, its tokens, its interpolation."""
    from agrilape.model.llava_st import import_llava_st

    with output_locked(output):
        require_replaceable(output)
        found = import_llava_st(folder, base, output)
    config = found.config
    say(
        f"wrote {output}: {config.num_spatial_tokens} tokens for height and width each, "
        f"{config.num_temporal_tokens} for time; {found.taken} tensors taken, LoRA added to {found.adapted}"
    )
    for name, count in found.skipped.items():
        warn(f"{count} tensor(s) of {name} have no place in LLaVA-OneVision and are skipped")

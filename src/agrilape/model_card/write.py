"""Writing the card and the item beside a checkpoint; what people wrote there stays."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from agrilape.console import say, warn
from agrilape.errors import DataError
from agrilape.files import write_json, write_text
from agrilape.io.json_text import read_json_if_sound
from agrilape.model_card.card import MARK, model_card
from agrilape.model_card.facts import gather
from agrilape.model_card.stac_item import stac_item

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_VERSIONS = re.compile(r"\s*(### Framework versions\s+(- PEFT [\w.+]+\s*)?)?")
CARD, ITEM = "README.md", "stac-mlm.json"


def write_card(
    folder: Path, repository: str | None = None, licence: str | None = None, overwrite: bool = False
) -> list[Path]:
    """Write `README.md` and `stac-mlm.json` beside a checkpoint.

    A file that agrilape did not write stays as it is, which is said. Without pystac there is no item, which
    is said too.

    Args:
        folder: A checkpoint or adapter.
        repository: Where it will lie, `owner/name`.
        licence: Of the weights, as the hub spells it (`apache-2.0`).
        overwrite: Replace what people wrote.

    Returns:
        The files that were written.

    Raises:
        ModelError: There are no weights, or a file of the checkpoint is damaged.
    """
    facts = gather(folder, repository, licence)
    written = []
    card, item = folder / CARD, folder / ITEM
    if overwrite or not card.exists() or _is_nobodys(card.read_text(encoding="utf-8", errors="replace")):
        written.append(write_text(card, model_card(facts)))
    else:
        say(f"kept {card}, which agrilape did not write (--overwrite replaces it)")
    if not (overwrite or not item.exists() or _is_ours(item)):
        say(f"kept {item}, which agrilape did not write (--overwrite replaces it)")
        return written
    try:
        written.append(write_json(item, stac_item(facts)))
    except DataError as error:
        warn(f"no {ITEM} was written: {error.problem}; {error.remedy}")
    return written


def _is_nobodys(card: str) -> bool:
    """Did agrilape write a card, or PEFT: the hub's empty template, with its own version at the end?"""
    if MARK in card:
        return True
    empty = ModelCard.from_template(ModelCardData()).text.strip()
    text = _FRONT_MATTER.sub("", card, count=1).strip()
    return text.startswith(empty) and bool(_VERSIONS.fullmatch(text.removeprefix(empty)))


def _is_ours(item: Path) -> bool:
    properties = read_json_if_sound(item).get("properties")
    return isinstance(properties, dict) and "agrilape:version" in properties

"""Lay out the real data sets that figures of this project rest on as ordinary folders of images and labels.

    python tools/make_kits.py --source ~/downloads/kits            # all that are there, into data/kits
    python tools/make_kits.py --source ~/downloads/kits dk_s2_lpis2016

docs/kits.md says where each comes from and what its folder must hold. None of them is part of the package:
several licences do not allow that. Recipes read them as `source: {kind: folder, path: data/kits/NAME}`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, from anywhere

from tools.kits import ADAPTERS

from agrilape.files import whole_folder

WHERE = "downloads, a folder per kit (default: $AGRILAPE_KITS)"


def make_kit(name: str, source: Path, output: Path) -> Path:
    """Lay out one kit, whole or not at all; what was there before is replaced.

    Args:
        name: Its name, that of its folder too.
        source: Folder that holds what was downloaded, a folder per kit.
        output: Folder for the kits that were laid out.

    Raises:
        FileNotFoundError: A file that it needs is not there.
    """
    folder = output / name
    with whole_folder(folder) as draft:
        ADAPTERS[name](source / name, draft)
        for licence in sorted((source / name).glob("LICENSE*")):
            shutil.copyfile(licence, draft / licence.name)
    return folder


def main() -> None:
    """Lay out those that are asked for, else all that are there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kits", nargs="*", metavar="NAME", help=f"of {', '.join(ADAPTERS)}")
    parser.add_argument("--source", type=Path, default=os.environ.get("AGRILAPE_KITS"), help=WHERE)
    parser.add_argument("--output", type=Path, default=Path("data/kits"))
    options = parser.parse_args()
    if options.source is None:
        parser.error("say where the downloads lie: --source FOLDER, or AGRILAPE_KITS")
    if strange := [name for name in options.kits if name not in ADAPTERS]:
        parser.error(f"there is no kit {strange[0]!r}; choose of {', '.join(ADAPTERS)}")
    missing = [name for name in options.kits or ADAPTERS if not (options.source / name).is_dir()]
    for name in options.kits or ADAPTERS:
        if name not in missing:
            print(make_kit(name, options.source, options.output))
    for name in missing:
        print(f"{name}: not in {options.source}; docs/kits.md says where it comes from", file=sys.stderr)
    if (missing and options.kits) or len(missing) == len(ADAPTERS):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

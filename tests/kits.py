"""Real data as `tools/make_kits.py` lays it out, for tests that read it; skipped where it is not there."""

import os
from pathlib import Path

import pytest
from tools.kits import ADAPTERS
from tools.make_kits import make_kit

SOURCE = Path(os.environ.get("AGRILAPE_KITS", "../shared/kits"))
IMAGES = {"eurosat_rgb_subset": "**/*.jpg", "us_naip_field_polygons": "**/*.png"}
NAMES = sorted(ADAPTERS)


class Kits:
    """Kits laid out in a folder of the test session, each when it is first asked for."""

    def __init__(self, folder):
        self.folder = folder

    def source(self, name):
        """The source of a data set, as recipes have it."""
        if not (SOURCE / name).is_dir():
            pytest.skip(f"AGRILAPE_KITS holds no {name}; docs/kits.md says where it comes from")
        if not (self.folder / name).is_dir():
            make_kit(name, SOURCE, self.folder)
        return {"kind": "folder", "path": str(self.folder / name), "images": IMAGES.get(name, "**/*.tif")}

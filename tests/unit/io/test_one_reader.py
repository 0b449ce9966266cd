"""There is one way to read a format: no other module reads JSON, CSV or YAML on its own."""

import re
from pathlib import Path

import agrilape

SOURCE = Path(agrilape.__file__).parent
READS = re.compile(
    r"\bjson\.loads?\(|\bcsv\.(?:reader|DictReader)\(|\byaml\.(?:safe_)?load\(|read_text\([^)]*\)\.splitlines\("
)
ALLOWED = {
    "locks.py": "its own line, below all that reads files",
    "dataset/store.py": "columns of shards that it wrote, read while training: speed",
    "prepare/label_index.py": "columns of files that it wrote",
    "sources/vectors.py": "metadata inside a Parquet file, which pyarrow has decoded",
}


def test_formats_are_read_at_one_place() -> None:
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        name = file.relative_to(SOURCE).as_posix()
        for number, line in enumerate(file.read_text().split("\n"), start=1):
            elsewhere = not name.startswith("io/") and name not in ALLOWED
            if elsewhere and READS.search(line):
                found[f"{name}:{number}"] = line.strip()
    assert found == {}

"""docs/data.md lists the sensors and their bands as they are."""

from pathlib import Path

from agrilape.sources.parcels import CROP_COLUMNS, EVENTS, ID_COLUMNS
from agrilape.sources.scene_json import SceneMetadata
from agrilape.sources.sensors import SENSORS

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
START, END = "<!-- sensors: checked by tests/unit/sources/test_docs.py -->\n", "<!-- end of sensors -->"
COLUMNS = ("blue", "green", "red", "nir", "swir_1", "swir_2")


def table():
    """Names of the common bands of each sensor, as the page should show them."""
    lines = [
        f"| sensor | {' | '.join(COLUMNS)} | further roles | files that name no bands |",
        "| --- |" + " --- |" * (len(COLUMNS) + 2),
    ]
    for sensor in SENSORS.values():
        names = {
            role: [name for name, other in sensor.bands.items() if other == role]
            for role in (*COLUMNS, *dict.fromkeys(filter(None, sensor.bands.values())))
        }
        cells = [" ".join(f"`{name}`" for name in names[role]) for role in COLUMNS]
        further = [f"{role}: {' '.join(f'`{name}`' for name in found)}" for role, found in names.items()
                   if role not in COLUMNS]  # fmt: skip
        orders = [f"{count}: {', '.join(order)}" for count, order in sensor.orders.items()]
        lines.append(f"| {sensor.title} | {' | '.join(cells)} | {'; '.join(further)} | {'; '.join(orders)} |")
    return "\n".join(line.replace("|  |", "| |") for line in lines) + "\n"


def test_the_sensors_on_the_page_are_those_of_the_table():
    shown = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    assert shown == table(), f"put this between the marks in {PAGE}:\n{table()}"


def shown(name: str) -> str:
    page = PAGE.read_text(encoding="utf-8")
    return page.partition(f"<!-- {name}: checked by tests/unit/sources/test_docs.py -->\n")[2].partition(
        "<!--"
    )[0]


def test_all_keys_of_scene_json_are_on_the_page():
    rows = [f"| `{name}` | {field.description} |" for name, field in SceneMetadata.model_fields.items()]
    assert shown("scene.json") == "\n".join(["| key | what it says |", "| --- | --- |", *rows]) + "\n"


def test_all_names_of_columns_are_on_the_page():
    known = {"crop": CROP_COLUMNS, "id": ID_COLUMNS, **EVENTS}
    rows = [f"| {what} | {', '.join(f'`{name}`' for name in names)} |" for what, names in known.items()]
    head = ["| what | columns, the first that is there |", "| --- | --- |"]
    assert shown("columns") == "\n".join([*head, *rows]) + "\n"

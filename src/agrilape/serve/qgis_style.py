"""How answers look when QGIS opens them: coloured by confidence, in five steps.

QGIS keeps styles in the table `layer_styles` of a GeoPackage and takes up the default one by itself.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from xml.sax.saxutils import quoteattr

COLOURS = ("68,1,84", "59,82,139", "33,145,140", "94,201,98", "253,231,37")
"""Viridis, from unsure to sure; red, green, blue."""

_TABLE = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
    f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
    useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)"""
_KNOWN = """
INSERT INTO gpkg_contents (table_name, data_type, identifier, description)
VALUES ('layer_styles', 'attributes', 'layer_styles', 'styles of QGIS')"""
_STYLE = """
INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,
    styleQML, styleSLD, useAsDefault, description, owner)
VALUES ('', '', ?, ?, 'confidence', ?, '', 1, 'how sure the model is', 'agrilape')"""


def add_style(path: Path, layer: str, geometry: str) -> None:
    """Put the style into a GeoPackage.

    Args:
        path: The GeoPackage.
        layer: Its layer with a column `confidence` from 0 to 1.
        geometry: The layer's column of geometry.
    """
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_TABLE)
        database.execute(_KNOWN)
        database.execute(_STYLE, (layer, geometry, qml()))


def qml() -> str:
    """The style as QML: polygons with a thin outline and a faint filling."""
    steps = len(COLOURS)
    ranges = "".join(
        f'<range symbol="{n}" lower="{n / steps:.1f}" upper="{(n + 1) / steps:.1f}" render="true" '
        f"label={quoteattr(f'{100 * n // steps} to {100 * (n + 1) // steps} %')}/>"
        for n in range(steps)
    )
    symbols = "".join(_symbol(str(n), colour) for n, colour in enumerate(COLOURS))
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
        '<qgis version="3.28" styleCategories="Symbology">'
        '<renderer-v2 type="graduatedSymbol" attr="confidence" graduatedMethod="GraduatedColor" '
        'symbollevels="0" enableorderby="0" forceraster="0">'
        f"<ranges>{ranges}</ranges><symbols>{symbols}</symbols></renderer-v2></qgis>"
    )


def _symbol(name: str, colour: str) -> str:
    options = {
        "color": f"{colour},64", "style": "solid", "outline_color": f"{colour},255", "outline_style": "solid",
        "outline_width": "0.6", "outline_width_unit": "MM",
    }  # fmt: skip
    said = "".join(f'<Option type="QString" name="{key}" value="{value}"/>' for key, value in options.items())
    return (
        f'<symbol type="fill" name="{name}" alpha="1" clip_to_extent="1" force_rhr="0">'
        f'<layer class="SimpleFill" enabled="1" locked="0" pass="0"><Option type="Map">{said}</Option>'
        "</layer></symbol>"
    )

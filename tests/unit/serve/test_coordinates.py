import pytest
from affine import Affine
from pyproj import Transformer

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.serve.coordinates import find_places

LON, LAT = 9.26536, 56.33507
EAST, NORTH = Transformer.from_crs("OGC:CRS84", "EPSG:25832", always_xy=True).transform(LON, LAT)
IMAGE = Georeference("EPSG:25832", Affine(10, 0, EAST - 1500, 0, -10, NORTH + 1500), 300, 300)
ONE = [
    "9.26536, 56.33507", "56.33507, 9.26536", "9.26536 56.33507", "(9.26536; 56.33507)",
    "POINT(9.26536 56.33507)",
    "9.26536 E, 56.33507 N", "56.33507N 9.26536E", "N 56.33507 E 9.26536", "56.33507° N, 9.26536° E",
    "9.26536E,56.33507N", "lat 56.33507, lon 9.26536", "longitude: 9.26536, latitude: 56.33507",
    "9,26536; 56,33507", "9,26536 56,33507", "9,26536, 56,33507", "9,26536° O, 56,33507° N",
    "Länge 9,26536 Breite 56,33507", "9,26536 und 56,33507",
    "56°20'06.25\"N 9°15'55.3\"E", "56° 20′ 06,25″ N, 9° 15′ 55,3″ O", "56°20.1042'N, 9°15.9216'E",
    "56 20 06.25 N, 9 15 55.3 E",
    "56 degrees 20 minutes 6.25 seconds north, 9 degrees 15 minutes 55.3 seconds east",
    "56 Grad 20 Minuten 6,25 Sekunden Nord und 9 Grad 15 Minuten 55,3 Sekunden Ost",
    f"{EAST:.1f}, {NORTH:.1f}", f"{EAST:.0f} {NORTH:.0f} (EPSG:25832)", f"EPSG:25832 {EAST:.1f} {NORTH:.1f}",
    f"E {EAST:.0f} N {NORTH:.0f} EPSG 32632", f"UTM 32N {EAST:.0f} {NORTH:.0f}",
    f"x={EAST:.0f} y={NORTH:.0f}",
    f"Rechtswert {EAST:.0f}, Hochwert {NORTH:.0f}", f"{EAST:,.0f}".replace(",", " ") + f", {NORTH:.0f}",
    f"{EAST:.1f} {NORTH:.1f}".replace(".", ","),
]  # fmt: skip


@pytest.mark.parametrize("said", ONE)
def test_a_place_is_found_however_it_is_written(said):
    rest, (place,) = find_places(f"Which field is at {said}?")
    assert place.pixel(IMAGE, "scene") == pytest.approx((150, 150), abs=0.2)
    assert "⟦point⟧" in rest
    assert not any(digit in rest for digit in "0123456789")


def test_whole_degrees_are_a_place():
    image = Georeference("EPSG:4326", Affine(0.1, 0, 5, 0, -0.1, 60), 100, 100)
    for said in ("9, 56", "9,56", "56, 9", "9 E 56 N"):
        (place,) = find_places(f"what grows at {said}?")[1]
        assert place.pixel(image, "scene") == pytest.approx((40, 40))


@pytest.mark.parametrize(
    "said", ["54.5 W, 12.3 S", "-54.5, -12.3", "12.3S 54.5W", "12°18'S 54°30'W", "−54,5; −12,3"]
)
def test_south_and_west_are_negative(said):
    image = Georeference("EPSG:4326", Affine(0.1, 0, -60, 0, -0.1, -10), 100, 100)
    (place,) = find_places(f"what grows at {said}?")[1]
    assert place.pixel(image, "scene") == pytest.approx((55, 23))


def test_another_coordinate_system_may_be_named():
    x, y = Transformer.from_crs("OGC:CRS84", "EPSG:3857", always_xy=True).transform(LON, LAT)
    (place,) = find_places(f"what grows at {x:.1f}, {y:.1f} in EPSG:3857?")[1]
    assert place.pixel(IMAGE, "scene") == pytest.approx((150, 150), abs=0.2)


def test_several_places_are_found_in_order():
    rest, places = find_places("Which is larger, the one at 9.1, 56.3 or the one at 9.2, 56.4?")
    assert [(place.first, place.second) for place in places] == [(9.1, 56.3), (9.2, 56.4)]
    assert rest.count("⟦point⟧") == 2


@pytest.mark.parametrize(
    "text", ["an 8 by 8 grid", "how many of 12 fields", "in 2018 and in 2019", "20 ha, or so"]
)
def test_other_numbers_are_no_places(text):
    assert find_places(text) == (text, ())


@pytest.mark.parametrize("said", ["12.5, 41.9", "9.26536 N, 56.33507 E", "400000 6000000", "56.3 N 100.5 E"])
def test_a_place_outside_is_refused_with_what_the_image_covers(said):
    (place,) = find_places(f"what grows at {said}?")[1]
    with pytest.raises(
        DataError, match=r"is not in scene\n.*longitude 9\.24\d+ to 9\.28\d+, latitude 56\.32"
    ):
        place.pixel(IMAGE, "scene")


def test_a_system_that_does_not_exist_is_refused():
    (place,) = find_places("what grows at 500000, 6200000 in EPSG:99999?")[1]
    with pytest.raises(DataError, match="EPSG:99999"):
        place.pixel(IMAGE, "scene")

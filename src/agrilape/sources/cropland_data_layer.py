"""Names of the Cropland Data Layer's codes (USDA NASS), which its Crop Sequence Boundaries carry by year.

Double crops stand under both names. Codes of ground without a crop (water, wood, built) are skipped, so they
count as unknown.
"""

from __future__ import annotations

import re

YEARLY = re.compile(r"cdl_?((?:19|20)\d\d)", re.IGNORECASE)
"""Name of the column of a year."""

CROPS = {
    "1": "maize", "2": "cotton", "3": "rice", "4": "sorghum", "5": "soybeans", "6": "sunflower",
    "10": "peanuts", "11": "tobacco", "12": "sweet corn", "13": "popcorn", "14": "mint", "21": "barley",
    "22": "durum wheat", "23": "spring wheat", "24": "winter wheat", "25": "small grains",
    "26": "winter wheat and soybeans", "27": "rye", "28": "oats", "29": "millet", "30": "spelt",
    "31": "canola", "32": "flax", "33": "safflower", "34": "rapeseed", "35": "mustard", "36": "alfalfa",
    "37": "hay", "38": "camelina", "39": "buckwheat", "41": "sugar beet", "42": "dry beans", "43": "potatoes",
    "45": "sugar cane", "46": "sweet potatoes", "47": "vegetables and fruits", "48": "watermelons",
    "49": "onions", "50": "cucumbers", "51": "chickpeas", "52": "lentils", "53": "peas", "54": "tomatoes",
    "55": "caneberries", "56": "hops", "57": "herbs", "58": "clover", "59": "grass seed", "60": "switchgrass",
    "61": "fallow", "66": "cherries", "67": "peaches", "68": "apples", "69": "grapes",
    "70": "christmas trees", "72": "citrus", "74": "pecans", "75": "almonds", "76": "walnuts", "77": "pears",
    "176": "grassland", "204": "pistachios", "205": "triticale", "206": "carrots", "207": "asparagus",
    "208": "garlic", "209": "cantaloupes", "210": "prunes", "211": "olives", "212": "oranges",
    "213": "honeydew melons", "214": "broccoli", "216": "peppers", "217": "pomegranates", "218": "nectarines",
    "219": "greens", "220": "plums", "221": "strawberries", "222": "squash", "223": "apricots",
    "224": "vetch", "225": "winter wheat and maize", "226": "oats and maize", "227": "lettuce",
    "229": "pumpkins", "236": "winter wheat and sorghum", "237": "barley and maize",
    "238": "winter wheat and cotton", "239": "soybeans and cotton", "240": "soybeans and oats",
    "241": "maize and soybeans", "242": "blueberries", "243": "cabbage", "244": "cauliflower",
    "245": "celery", "246": "radishes", "247": "turnips", "248": "eggplants", "249": "gourds",
    "250": "cranberries", "254": "barley and soybeans",
}  # fmt: skip

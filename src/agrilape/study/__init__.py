"""Studies: variants of a recipe over seeds, tuned fairly, run side by side, judged with intervals."""

"""From imagery, parcels and crop labels, or from a published release, to a data set."""

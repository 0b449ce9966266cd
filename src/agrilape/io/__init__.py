"""Reading what other programs wrote: text, pictures, rasters and vectors, each at one place that all use."""

"""How places and times are spelled for a model."""

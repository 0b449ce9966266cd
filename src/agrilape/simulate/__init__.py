"""A farm landscape with known truth."""

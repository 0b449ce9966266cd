"""The three-stage strategy."""

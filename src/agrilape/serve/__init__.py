"""Answers on the map."""

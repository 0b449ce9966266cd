"""Imagery and parcels, read from ordinary files."""

"""Prediction, metrics and baselines."""

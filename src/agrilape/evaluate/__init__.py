"""Prediction and agricultural metrics."""

"""Metrics as pure functions, one subject per module.

Conventions shared by all: boxes are edges `(left, top, right, bottom)` without a "+1 pixel"; a row of NaN is
an answer that could not be read, which scores as wrong and never as missing; nothing is decided by chance.
"""

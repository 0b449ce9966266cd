"""Linear probes: what can be read from a model's features on the way from the image to the answer.

- `model_features`: the features at the asked place, of each date, and where the answer begins;
- `linear`: readings of them, fitted on the train split and judged on held-out scenes;
- `probe`: both, for a run.
"""

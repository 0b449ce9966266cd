"""How long a frozen vision tower takes for images that it has seen, against those that it has not.

    python benchmarks/feature_cache.py

Prints milliseconds per image of the preset's tower on one thread, for 16 images of 128 px at once: computed,
and known, which is to hash the pixels and look the features up.
"""

from __future__ import annotations

import time

import torch

from agrilape.model import build_preset
from agrilape.train.feature_cache import KeptFeatures, cached_features

IMAGES, ROUNDS = 16, 12


def main() -> None:
    """Time both."""
    torch.set_num_threads(1)
    model = build_preset("nano").model
    model.model.vision_tower.requires_grad_(False)
    kept = KeptFeatures()
    seconds: dict[str, list[float]] = {"computed": [], "known": []}
    with cached_features(model, kept), torch.no_grad():
        for _ in range(ROUNDS):
            images = torch.randn(IMAGES, 3, 128, 128)
            for name in seconds:
                start = time.process_time()
                model.base_model.get_image_features(images)
                seconds[name].append(time.process_time() - start)
    assert kept.hits == kept.misses == IMAGES * ROUNDS
    best = {name: min(times) / IMAGES * 1000 for name, times in seconds.items()}
    for name, milliseconds in best.items():
        print(f"{name:10} {milliseconds:6.2f} ms per image")
    print(f"known images take {best['known'] / best['computed']:.2f} of the time")


if __name__ == "__main__":
    main()

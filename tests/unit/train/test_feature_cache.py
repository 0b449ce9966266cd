import pytest
import torch

from agrilape.model import build_preset
from agrilape.train.feature_cache import KeptFeatures, cached_features


@pytest.fixture(scope="module")
def model():
    built = build_preset("nano", seed=0).model
    built.model.vision_tower.requires_grad_(False)
    return built


def pixels(count, seed):
    return torch.randn(count, 3, 128, 128, generator=torch.Generator().manual_seed(seed))


def features(model, images):
    return torch.stack(list(model.base_model.get_image_features(images).pooler_output))


def test_features_are_those_of_the_tower(model):
    images = pixels(5, 0)
    wanted = features(model, images)
    cache = KeptFeatures()
    with cached_features(model, cache):
        torch.testing.assert_close(features(model, images[:2]), wanted[:2], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(features(model, images), wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(features(model, images.flip(0)), wanted.flip(0), rtol=1e-5, atol=1e-5)
    assert (cache.hits, cache.misses) == (7, 5)


def test_the_projector_still_learns(model):
    images = pixels(2, 1)
    with cached_features(model, KeptFeatures()):
        for _ in range(2):
            model.zero_grad()
            features(model, images).sum().backward()
    assert model.model.multi_modal_projector.linear_1.weight.grad.abs().sum() > 0


def test_other_pixels_are_another_image(model):
    images = pixels(1, 2)
    cache = KeptFeatures()
    with cached_features(model, cache):
        features(model, images)
        features(model, images.flip(-1))
    assert cache.misses == 2


def test_the_same_tower_is_known_from_stage_to_stage_and_another_is_not(model):
    images, cache = pixels(1, 3), KeptFeatures()
    for _ in range(2):
        with cached_features(model, cache):
            features(model, images)
    assert (cache.hits, cache.misses) == (1, 1)
    other = build_preset("nano", seed=0).model
    other.model.vision_tower.requires_grad_(False)
    next(other.model.vision_tower.parameters()).data.mul_(1.5)
    with cached_features(other, cache):
        features(other, images)
    assert (cache.hits, cache.misses) == (1, 2)


def test_what_is_kept_is_bounded_and_the_last_used_stays(model):
    cache = KeptFeatures(most_bytes=2 * 64 * 192 * 4)
    one, two, three = (pixels(1, seed) for seed in (4, 5, 6))
    with cached_features(model, cache):
        for image in (one, two, one, three, one, two):
            features(model, image)
    assert (cache.hits, cache.misses) == (2, 4)


def test_a_tower_that_trains_or_is_shared_is_left_alone(model):
    tower, cache = model.model.vision_tower, KeptFeatures()
    with cached_features(model, cache, shared=True):
        assert "forward" not in vars(tower)
    tower.requires_grad_(True)
    with cached_features(model, cache):
        assert "forward" not in vars(tower)
    tower.requires_grad_(False)


def test_the_tower_is_itself_again_afterwards(model):
    tower = model.base_model.vision_tower
    with cached_features(model, KeptFeatures()):
        assert "forward" in vars(tower)
    assert "forward" not in vars(tower)

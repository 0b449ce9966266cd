import pytest
import torch
from torch import nn

from agrilape.config.recipe import LearningRates, MixtureEntry, StageConfig
from agrilape.errors import RecipeError
from agrilape.train.optim import (
    build_optimizer,
    build_scheduler,
    freeze,
    frozen_modules,
    peak_rates,
)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
        self.llm = nn.Linear(3, 4)
        self.lape = nn.ParameterDict({"height_in": nn.Parameter(torch.ones(5, 4))})

    def groups(self):
        return {
            "vision": list(self.tower.named_parameters()),
            "projector": [],
            "llm": list(self.llm.named_parameters()),
            "lora": [],
            "lape": list(self.lape.named_parameters()),
        }


def stage(**rates) -> StageConfig:
    return StageConfig(
        name="one",
        enable_lape=True,
        learning_rates=LearningRates(**rates),
        mixture={"all": MixtureEntry(weight=1, datasets=("d",))},
        steps=10,
        warmup_steps=5,
        weight_decay=0.1,
    )


def test_lape_takes_the_largest_rate_unless_it_has_its_own() -> None:
    assert peak_rates(LearningRates(llm=1e-4, projector=1e-3), lape=True)["lape"] == 1e-3
    assert peak_rates(LearningRates(llm=1e-4, lape=5e-4), lape=True) == {"llm": 1e-4, "lape": 5e-4}
    assert peak_rates(LearningRates(llm=1e-4, lape=5e-4), lape=False) == {"llm": 1e-4}


def test_vectors_and_lape_do_not_decay() -> None:
    model, config = Tiny(), stage(vision=1e-3, llm=1e-4)
    optimizer = build_optimizer(model.groups(), config, peak_rates(config.learning_rates, lape=True))
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decay[id(model.tower[0].weight)] == decay[id(model.llm.weight)] == 0.1
    for parameter in (model.tower[0].bias, model.tower[1].weight, model.lape["height_in"]):
        assert decay[id(parameter)] == 0
    assert len(decay) == len(list(model.parameters()))


def test_groups_without_a_rate_are_frozen_and_their_modules_known() -> None:
    model = Tiny()
    freeze(model.groups(), {"llm": 1e-3})
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"llm.weight", "llm.bias"}
    assert frozen_modules(model) == [model.tower, model.lape]


def test_rates_follow_the_schedule_per_group() -> None:
    model, config = Tiny(), stage(llm=1e-2, lape=1.0)
    optimizer = build_optimizer(model.groups(), config, peak_rates(config.learning_rates, lape=True))
    scheduler = build_scheduler(optimizer, config)
    optimizer.step()
    scheduler.step()
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"llm": pytest.approx(1e-2 / 5), "lape": pytest.approx(0.5 / 1000)}


def test_a_stage_that_trains_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match="nothing trains"):
        build_optimizer(Tiny().groups(), stage(), {})

import torch
from transformers import AttentionInterface

from agrilape.model import build_preset
from agrilape.train.precision import keep_cpu_attention_in_float32


def test_attention_leaves_autocast_and_changes_nothing_without_it() -> None:
    model = build_preset("nano").model.eval()
    ids = torch.randint(10, 200, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        keep_cpu_attention_in_float32()
        assert torch.equal(model(input_ids=ids).logits, before)
        attention, seen = torch.nn.functional.scaled_dot_product_attention, []

        def spy(query, *args, **kwargs):
            seen.append(query.dtype)
            return attention(query, *args, **kwargs)

        torch.nn.functional.scaled_dot_product_attention = spy
        try:
            with torch.autocast("cpu", torch.bfloat16):
                mixed = model(input_ids=ids).logits
        finally:
            torch.nn.functional.scaled_dot_product_attention = attention
    assert set(seen) == {torch.float32}
    assert mixed.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(mixed.float().flatten(), before.flatten(), dim=0) > 0.99


def test_attention_takes_its_mask_by_name() -> None:
    """As the vision towers of Qwen-VL pass it."""
    keep_cpu_attention_in_float32()
    states = torch.randn(1, 2, 3, 4)
    attend = AttentionInterface()["sdpa"]
    by_name = attend(torch.nn.Identity(), states, states, states, attention_mask=None, is_causal=False)[0]
    assert torch.equal(by_name, attend(torch.nn.Identity(), states, states, states, None, is_causal=False)[0])

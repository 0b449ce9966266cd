import torch

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

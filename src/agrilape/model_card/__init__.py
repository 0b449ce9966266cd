"""What a checkpoint says of itself: a model card for a hub, and a STAC item for a catalogue."""

from agrilape.model_card.write import CARD, ITEM, write_card

__all__ = ["CARD", "ITEM", "write_card"]

"""How places and times are spelled for a model, and the batches that it reads."""

from agrilape.tokens.chat import Chat
from agrilape.tokens.collator import Collator, TrainingItem, prompt_batch, shared_prompts
from agrilape.tokens.grammar import Coordinates, ParsedMessage, parse, render
from agrilape.tokens.packing import packing_of, shares_prefixes
from agrilape.tokens.position_codec import PositionCodec
from agrilape.tokens.vocabulary import PositionIds, add_position_tokens

__all__ = [
    "Chat",
    "Collator",
    "Coordinates",
    "ParsedMessage",
    "PositionCodec",
    "PositionIds",
    "TrainingItem",
    "add_position_tokens",
    "packing_of",
    "parse",
    "prompt_batch",
    "render",
    "shared_prompts",
    "shares_prefixes",
]

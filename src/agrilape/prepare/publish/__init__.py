"""A prepared data set as others find, cite and load it: a card, Croissant metadata, and chat messages."""

from agrilape.prepare.publish.publish import publish_data_set

__all__ = ["publish_data_set"]

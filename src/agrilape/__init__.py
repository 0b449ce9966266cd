"""agrilape: where and when for vision-language models of farmland."""

__version__ = "0.1.0"

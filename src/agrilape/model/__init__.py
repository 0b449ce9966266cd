"""LAPE, and its attachment to Hugging Face vision-language models."""

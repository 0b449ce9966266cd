"""Settings of every part, validated."""

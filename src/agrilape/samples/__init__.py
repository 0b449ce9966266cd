"""Questions and answers, made from imagery and parcels."""

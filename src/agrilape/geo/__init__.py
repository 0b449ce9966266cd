"""Where and when: coordinates, boxes and dates."""

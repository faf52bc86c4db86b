"""The 5 Hz level that picks: a heuristic that knows where the object is, and policies that learn from it."""

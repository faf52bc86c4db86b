"""Skills that skill code can call, and the library of those that were kept."""

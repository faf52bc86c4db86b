"""Evaluation of the whole stack: sentences in drawn scenes, full contact physics, a verdict on the true state."""

"""Training: resumable, with curves, checkpoints and weights that know where they come from."""

"""From sensors to the `Scene` that skills, planners and policies read."""

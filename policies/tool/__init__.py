"""The upper level with an articulated tool in the hand: pick, place and drop with its tips."""

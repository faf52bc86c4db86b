"""What the palm-up hand does with a thing that lies loose in it: plan, follow by camera, turn, stop."""

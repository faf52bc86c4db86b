"""The console: a program for the terminal in which one talks to the robot, sees what it plans, and stops it."""

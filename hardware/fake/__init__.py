"""Fake devices with wires that can fail, for tests and for trying the drivers without hardware."""

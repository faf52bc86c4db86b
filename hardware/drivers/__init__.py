"""Drivers of real devices. Each imports its vendor's library only when it connects."""

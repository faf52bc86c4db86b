"""Evaluations: counted episodes on seeds that training never saw, and their reports."""

"""Observe a run as it happens, and freeze what was seen into a bundle."""

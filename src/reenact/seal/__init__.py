"""Prove bytes: keys, signed envelopes, and the transparency log."""

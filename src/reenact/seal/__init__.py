"""Prove bytes: sign them, keep the keys, log what was signed. Usable without a store: places are given as small protocols."""

"""Bytes that are kept elsewhere: had again from where a record says they are, and checked against their digest."""

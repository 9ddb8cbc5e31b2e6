"""Readers: one module a family of formats, each giving tables (see :mod:`reenact.compare.tables`)."""

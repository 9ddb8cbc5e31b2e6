"""What a run is: pure values, no I/O, no clock.

Values are structs of msgspec, which reads and writes them anyway: making such a class takes 15 µs where the decorator of
:mod:`dataclasses` takes 600, and every recording makes them all.
"""

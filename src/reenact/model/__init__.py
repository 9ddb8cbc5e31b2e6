"""What a run is: pure values, no I/O, no clock."""

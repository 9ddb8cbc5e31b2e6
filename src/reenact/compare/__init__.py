"""Judge data: what a file is, what its tables hold, and how two of them differ. Knows no store and no run."""

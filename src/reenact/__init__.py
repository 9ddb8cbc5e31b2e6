"""Record any ETL run, reproduce it exactly, and prove it."""

__version__ = "0.1.0"

"""Contract suites that every implementation of an interface passes; for tests only, and it needs pytest."""

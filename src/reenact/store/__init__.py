"""Keep bytes: objects under their digests, the records of runs, and the place they live in."""

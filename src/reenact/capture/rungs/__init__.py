"""The ways of observing a job below the kernel rung, and the choice among all of them."""

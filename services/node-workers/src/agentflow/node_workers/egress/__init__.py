"""Where a worker may connect to, and how much it reads from there."""

"""History: the event log as SQL rows. It listens, it never steers."""

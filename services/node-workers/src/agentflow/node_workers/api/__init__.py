"""What the api node sends and what it makes of the answer."""

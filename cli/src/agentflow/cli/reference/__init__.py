"""docs/reference is generated from the code: what the code says cannot be out of date."""

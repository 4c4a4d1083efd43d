"""Read-only SQL: the gate, and one file per database."""

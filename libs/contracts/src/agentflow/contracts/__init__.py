"""Messages, specs and errors that every room agrees on. pydantic only, no I/O."""

"""Finding a model on this machine by name or path, and checking it before it is loaded."""

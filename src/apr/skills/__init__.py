"""Skills and commands: instructions of the user's that are loaded when they are needed."""

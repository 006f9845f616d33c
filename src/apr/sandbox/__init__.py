"""Commands confined by the operating system: what they can write, read and reach."""

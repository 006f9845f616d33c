"""What of this machine and project works, and what to do about what does not."""

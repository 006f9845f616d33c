"""Commands of the user's that run on events of a session, and may stop it."""

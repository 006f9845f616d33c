"""Pages of the web: where a request may go, how it goes there, and what is shown of the answer."""

"""The public HTTP interface to a model on this machine, in the shapes of OpenAI and Anthropic."""

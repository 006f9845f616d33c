"""Does the engine compute what the model's own makers would? Held against transformers.

Only `apr verify` imports these modules, and only with the extra `reference`.
"""

"""Recording an agent from its wire: what it asks a model, and what the model answers, as a trace.

Any agent that lets its user name a base URL can be recorded. It is started with a proxy on loopback
as its model; the proxy passes everything on, and `recorder` writes down what goes by.
"""

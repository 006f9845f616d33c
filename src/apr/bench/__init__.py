"""How fast a model is here: through apr, and in llama.cpp without apr."""

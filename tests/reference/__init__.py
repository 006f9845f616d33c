"""What needs PyTorch and transformers."""

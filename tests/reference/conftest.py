"""PyTorch's threads wait in peace: on a machine that others use, waiting in a loop costs most."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when PyTorch is loaded

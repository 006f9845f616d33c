"""`ccpa`: the meter. Reads agents' action traces, checks them, aligns and scores them."""

"""What deferrable jobs save on real prices, through the operator's own plan of the next 48 hours."""

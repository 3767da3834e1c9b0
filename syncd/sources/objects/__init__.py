"""What sources of object stores share: limits, bodies that are resumed and decoded, keys, and which endpoints may be named."""

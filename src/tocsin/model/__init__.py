"""Ground floor: the values every room speaks of. No I/O, no clock, no randomness."""

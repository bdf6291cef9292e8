"""Rules that come again: expressions bound once to the series they read, then only evaluated."""

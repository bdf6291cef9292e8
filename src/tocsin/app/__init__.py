"""The desk: the only room that knows every room. Reads from `pipeline` outward."""

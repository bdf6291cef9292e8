"""Engine: the embedded metric store, a columnar head with a write-ahead log per tenant."""

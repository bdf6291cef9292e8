"""Engine: PromQL evaluated on NumPy arrays over a series port."""

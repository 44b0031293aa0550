"""Sources that are stored inside model files. Each imports alone: fnnx, numpy and the model's own pins."""

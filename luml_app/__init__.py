"""LUML: keep, compare, deploy and watch machine-learning models."""

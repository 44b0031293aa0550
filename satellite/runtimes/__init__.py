"""Where replicas of models run: `docker` (containers) and `process` (subprocesses), behind one interface."""

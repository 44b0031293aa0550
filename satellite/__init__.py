"""The satellite: takes jobs from the platform and runs deployments on this machine."""

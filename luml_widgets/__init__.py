"""Widgets over an `api` object: the same classes in the dashboard and in a notebook."""

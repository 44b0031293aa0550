"""Alembic: the database's schema, step by step. A migration that has landed is never edited."""

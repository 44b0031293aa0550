"""The mechanism: operations, the service that runs them, scopes, permissions, events, the database."""

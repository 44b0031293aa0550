"""The server: REST from operations, login, pages, health and metrics on one port."""

"""What travels between the platform, its clients and its satellites: msgspec structs, one module per resource."""

"""`luml up`: the whole house on one machine, with its own PostgreSQL, store and satellite."""

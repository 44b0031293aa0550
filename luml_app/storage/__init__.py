"""One door to buckets: signed addresses for clients, and a look inside for the server.

`interface.Storage` is what the rest of the house sees; `local` is the built-in store on the server's own disk,
served by `luml_app.web.store` in the shape of S3.
"""

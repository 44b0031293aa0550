"""`python -m luml_app.cli`, the same as `luml`."""

from luml_app.cli import main

main()

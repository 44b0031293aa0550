"""The documentation: Markdown pages, served by the app at ``/docs`` and readable as they are."""

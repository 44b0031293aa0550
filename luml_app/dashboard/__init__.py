"""The dashboard: one page for all screens, each of which is a widget of `luml_widgets` under an address."""

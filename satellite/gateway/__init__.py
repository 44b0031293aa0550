"""The satellite's front door for inference: a process of its own that may do nothing but pass requests on."""

"""One file a verb of the command line, each with a plain function ``run`` that a notebook or a test can call."""

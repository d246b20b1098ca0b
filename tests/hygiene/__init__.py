"""pytest plugins for what pytest-twisted leaves out: a time limit, a reactor left clean, no error lost in the log."""

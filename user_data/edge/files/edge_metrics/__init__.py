"""The edge's own metrics: what Nginx counts, and how old the list of its servers is."""

"""What makes a Debian machine the edge."""

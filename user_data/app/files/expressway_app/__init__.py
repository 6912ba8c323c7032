"""What makes a Debian machine an app server, and what its service runs before each start."""

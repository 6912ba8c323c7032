"""A machine's logs, told to CloudWatch Logs: the journal's, and the files that Nginx writes."""

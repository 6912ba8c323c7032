"""A machine measures itself every ten seconds: for Prometheus to fetch, and for CloudWatch, which is told."""

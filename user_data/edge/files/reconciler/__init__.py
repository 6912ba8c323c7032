"""Keeps Nginx's list of servers in step with Auto Scaling groups.

Level-triggered: what the API says (groups.py, belief.py), what the servers say (probes.py, health.py) and what Nginx
has (upstream.py) are compared in each pass (loop.py); what to do is decided by pure functions (plan.py, departures.py,
replacements.py). A pass that finds nothing to change changes nothing; one that is killed is made good by the next, as
all that counts is in Nginx, in AWS and in the servers.
"""

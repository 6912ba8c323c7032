"""What runs on a load balancer's machine: probes its targets as an Application Load Balancer does, and drives HAProxy.

Not by HAProxy's own checks: to these, a server that is new is well until one fails (3.0 has no other way), and what a
probe met is told in other words than AWS's.

Stands alone: the machine has Debian's Python, and nothing else of this repository.
"""

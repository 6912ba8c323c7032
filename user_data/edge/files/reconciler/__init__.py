"""Keeps Nginx's upstream in step with an Auto Scaling group.

Level-triggered: every pass observes (the group, Nginx, a probe of each server), plans (pure, plan.py) and acts. A pass
that finds nothing to change changes nothing; one that is killed is made good by the next.
"""

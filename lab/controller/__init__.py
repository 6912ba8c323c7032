"""The controller: what the API says against what runs on this host; the only place where the two meet.

Level-triggered: observe, plan (pure), act. It may be killed at any instant, and a second run changes nothing.
"""

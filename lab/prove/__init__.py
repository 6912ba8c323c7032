"""`make prove`: what users of the site see while machines come, go, break and get new releases, in the lab.

A scenario does one thing to the stack under a load whose every answer is checked (lab/bench/load.py), and says what
must be true of the answers. All of them together are docs/proof.md.
"""

"""`make prove-bottlenecks`: whether `expressway load` names what limits a stack, in the lab.

A plant makes one resource short, far below all others; `expressway load` is run as a user runs it, and what it says is
held against what was planted. All of them together are a table in docs/bottlenecks.md.
"""

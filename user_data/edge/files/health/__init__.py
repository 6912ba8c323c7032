"""The edge's watch over itself: is it at work, and does a machine of its group hold the public address?"""

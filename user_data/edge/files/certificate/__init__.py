"""Keeps the site's certificate as its secret in Secrets Manager holds it.

Level-triggered, like the reconciler: every pass reads the secret, checks what is in it (pure, pair.py), and puts it on
disk (store.py), where Nginx finds it at the next handshake without a reload. What doesn't pass the checks is reported,
and the last good certificate stays.
"""

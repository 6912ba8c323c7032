"""What both tiers' programs share: who this machine is, what it was told, and careful ways to write and to ask."""

import sys

# Debian's botocore loads requests, which loads chardet: 2.5 MB in each service, of how often letters are in languages.
sys.modules.setdefault("chardet", None)  # pyright: ignore[reportArgumentType, reportCallIssue]

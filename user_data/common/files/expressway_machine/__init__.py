"""What both tiers' programs share: who this machine is, what it was told, and careful ways to write and to ask."""

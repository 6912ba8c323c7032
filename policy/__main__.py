"""What the engine runs to check a stack: the rules as a policy pack, all of them mandatory."""

from pack.registration import policies
from pulumi_policy import EnforcementLevel, PolicyPack

if __name__ == "__main__":
    PolicyPack("expressway-aws", policies(), enforcement_level=EnforcementLevel.MANDATORY)

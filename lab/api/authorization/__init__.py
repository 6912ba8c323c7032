"""Who may call what: IAM's policies, enforced on calls that carry the credentials of a role or of a user.

moto stores the policies, and can check actions alone; whoever has the lab's own keys, which are the account's root, may
do everything. Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

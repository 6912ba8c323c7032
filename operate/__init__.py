"""Day-2 work on a stack that stands, through boto3 and the stack's outputs. Knows no command line; `cli/` calls it."""

"""Where the app's CPU time goes: a profile of one worker that runs, asked for through AWS, and what is made of it."""

"""What people do to a running platform, callable from commands and servers (judging profiles anew), and how its processes end."""

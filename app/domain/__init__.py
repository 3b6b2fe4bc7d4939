"""The rules, pure: what a record on the contact log means for one contact."""

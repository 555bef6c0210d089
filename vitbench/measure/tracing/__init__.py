"""A recorded trace and what it says: its events, what each belongs to, and what that adds up to."""

"""What people do with Tidings, through any interface: each function takes an actor and a request, and returns a view."""

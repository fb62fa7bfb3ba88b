"""What people do with Tidings, whatever face they do it through: each function takes who asks and a request, and returns a view."""

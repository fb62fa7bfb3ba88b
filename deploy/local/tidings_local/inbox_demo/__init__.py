"""A page to try the in-app inbox: two users side by side, and a form that sends to them."""

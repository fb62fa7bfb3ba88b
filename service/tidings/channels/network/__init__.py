"""What channels reach their providers with: name look-ups, and an HTTP client with bounds."""

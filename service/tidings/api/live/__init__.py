"""Live connections to users' inboxes: WebSocket, and Server-Sent Events."""

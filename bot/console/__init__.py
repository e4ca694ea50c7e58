"""The operator's side of the HTTP server: hooks. Deliberately absent: the web chat, which is a network of its own."""

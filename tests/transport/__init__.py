"""Transport, on real sockets."""

//! The I/O loop: one pinned thread per queue.

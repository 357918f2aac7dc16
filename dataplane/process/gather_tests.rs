//! Packets of several buffers through whole batches.

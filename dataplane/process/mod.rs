//! What becomes of a batch of frames, without a syscall.

//! Behaviour that workers and administrators rely on.

//! The XDP programs: load, attach, publish a generation, read counters.

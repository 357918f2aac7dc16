//! Packets of several frames: tied, cut, taken apart.

//! AF_XDP: the UMEM, its frames as owned tokens, and the sockets.

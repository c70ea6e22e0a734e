//! Certificates that renew, rotate, roll over and are revoked while a network works: coordinator and agents as they are, over QUIC, with a clock that
//! jumps. Custodians only say that they offer nothing: what is asked of them is the load. `processes` has a whole network.

mod bench;
mod processes;
mod revoked;
mod rolling;

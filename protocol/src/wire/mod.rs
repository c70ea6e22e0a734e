//! The bytes between processes: codec, version negotiation, messages.

pub mod codec;
pub mod enrol;
pub mod hello;
pub mod inquiry;
pub mod message;
pub mod release;
pub mod renewal;

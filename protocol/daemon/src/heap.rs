//! The allocator of every program that has this crate: a round and an ingest make and drop many small pieces, which the C library's own does slower.

#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

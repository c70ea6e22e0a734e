//! The writer of commented TOML: `bocage-node enrol` writes with it too.

pub use bocage_net::document::Document;

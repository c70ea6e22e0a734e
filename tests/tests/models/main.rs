//! Models over several sites equal the pooled answers of statsmodels (`tests/reference/models.py`), and say who contributes under the usual gate.

mod cox;
mod data;
mod degenerate;
mod described;
mod pooled;
mod random;
mod references;
mod usual;

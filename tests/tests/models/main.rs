//! Models over several sites equal the pooled answers of statsmodels (`tests/reference/models.py`), and say who contributes under the usual gate.

mod again;
mod cox;
mod cross_validation;
mod data;
mod degenerate;
mod described;
mod earlier;
mod elastic_net;
mod evaluation;
mod hypotheses;
mod of_sites;
mod pooled;
mod predicted_hazards;
mod prediction;
mod quantities;
mod random;
mod ranges;
mod references;
mod scores;
mod shared;
mod splits;
mod two_stage;
mod usual;
mod usual_counts;

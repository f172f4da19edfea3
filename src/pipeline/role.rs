//! The services by name, in the order of the flow of data.

/// A service of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Streams rows.
    Features,
    /// Scores them.
    Predictor,
    /// Joins and logs.
    Metric,
    /// Draws.
    Plot,
}

impl Role {
    /// All of them, along the flow of data.
    pub const ALL: [Self; 4] = [Self::Features, Self::Predictor, Self::Metric, Self::Plot];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Predictor => "predictor",
            Self::Metric => "metric",
            Self::Plot => "plot",
        }
    }
}

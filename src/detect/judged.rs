use super::finding::Finding;

/// What one family of detectors says of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Findings of at least `suspected`, by time, then frame.
    pub findings: Vec<Finding>,
    /// What a flow's end was judged to be: index of the flow, a mechanism's or an innocent cause's name, or `unexplained`.
    pub causes: Vec<(u32, &'static str)>,
    /// Why a flow could not be judged: index of the flow, and what was missing.
    pub blind: Vec<(u32, &'static str)>,
}

use super::finding::Finding;

/// What one family of detectors says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Its findings of at least `suspected`.
    pub findings: Vec<Finding>,
    /// What a reset, FIN or silence was judged to be, by flow index.
    pub causes: Vec<(u32, &'static str)>,
    /// Why a flow could not be judged, by flow index.
    pub blind: Vec<(u32, &'static str)>,
}

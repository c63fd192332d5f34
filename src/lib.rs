//! dpiscope reads packets and says whether somebody on the path interfered with a messenger.
//!
//! ```text
//! capture → decode → flow → application → service → facts → detect → report
//!    (pipeline runs capture to detect on threads; cli sees pipeline and report)
//! ```
//!
//! Each stage knows the types of the stages before it and nothing of those after it:

// Words that all stages share.
pub mod types;

// Reads packets from files, pipes and interfaces.
pub mod capture;

// Takes one packet's bytes apart.
pub mod decode;

// Follows conversations: the flow table, TCP tracking, reassembly of first bytes.
pub mod flow;

// Recognises what a flow says.
pub mod application;

// Decides which service a flow belongs to.
pub mod service;

// Plain records of what was measured.
pub mod facts;

// From what was measured to findings.
pub mod detect;

// Shows what was found: text, JSON, one event a line.
pub mod report;

// Runs the stages on threads and hands out the analysis.
pub mod pipeline;

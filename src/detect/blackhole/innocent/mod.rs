//! Innocent causes of silence, each tested against facts.

pub(in crate::detect) mod call_elsewhere;
pub(in crate::detect) mod captive_portal;
pub(in crate::detect) mod capture_end;
pub(in crate::detect) mod capture_loss;
pub(in crate::detect) mod client_offline;
pub(in crate::detect) mod client_stopped;
pub(in crate::detect) mod dead_host;
pub(in crate::detect) mod far_party_gone;
pub(in crate::detect) mod gave_up_too_soon;
pub(in crate::detect) mod handover_gap;
pub(in crate::detect) mod icmp_refused;
pub(in crate::detect) mod lossy_path;
pub(in crate::detect) mod nat_timeout;
pub(in crate::detect) mod pmtu_blackhole;
pub(in crate::detect) mod quic_closed;
pub(in crate::detect) mod retry_due;
pub(in crate::detect) mod still_passes;
pub(in crate::detect) mod zero_window;

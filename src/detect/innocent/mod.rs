//! Innocent causes of what looks like interference, each tested against facts: 1 where the facts fit, 0 where they do not, blind where they
//! cannot say. Only a cause that was tested and did not fit is ruled out.

pub(in crate::detect) mod challenge_ack;
pub(in crate::detect) mod client_abort;
pub(in crate::detect) mod happy_eyeballs;
pub(in crate::detect) mod idle_reset;
pub(in crate::detect) mod late_segment;
pub(in crate::detect) mod local_middlebox;
pub(in crate::detect) mod refused_port;
pub(in crate::detect) mod repeated_reset;
pub(in crate::detect) mod scanner;
pub(in crate::detect) mod server_close;
pub(in crate::detect) mod server_restart;
pub(in crate::detect) mod stray_reset;
pub(in crate::detect) mod time_wait;
pub(in crate::detect) mod tls_alert;
